"""What is a suspect? A bottleneck that would explain the requests' time, and what its fix would take away."""

from dataclasses import dataclass

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.whatif import Goodput, Saving

# A wait, or work, of less than this share of a request's time is not why requests are slow.
LEAST_SHARE = 0.10
# The share of calls, the fastest, that nothing else got in the way of.
UNHINDERED = 0.10


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A bottleneck that would explain the requests' time; `saving` is what its fix takes from each of them.

    `operation` is empty where it is the whole service. `predictor` names how the saving was come by. Where requests
    come to nothing, rather than late, `goodput` is what the fix gains.
    """

    bottleneck: Bottleneck
    service: str
    operation: str
    saving: Saving
    evidence: tuple[str, ...]
    trace_ids: tuple[str, ...]
    predictor: str
    goodput: Goodput | None = None
