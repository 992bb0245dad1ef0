"""Candidate: a possible bottleneck with its evidence, and the time that its fix would save."""

from dataclasses import dataclass

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.whatif import Goodput, Saving

# A wait or work below this share of the requests' time does not make requests slow.
LEAST_SHARE = 0.10
# The fastest share of calls is taken as undisturbed by load.
UNHINDERED = 0.10


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A possible bottleneck.

    operation: empty for a whole service.
    saving: time that the fix would save for each request.
    evidence: one sentence each.
    trace_ids: of requests that show it.
    predictor: how the saving was estimated.
    utilisation: of the processor that the saving is about, 0 to 1; None for the one that everything shares.
    goodput: set when requests, or messages, fail or wait rather than slow down: goodput before and after the fix.
    late_share: share of the saving that other candidates may claim as well: calls whose answers were read late.
    doubts: one sentence for each other cause that the evidence does not rule out; they lower the confidence.
    undecided: why another class may explain even more, so that this one is not to be named first; empty otherwise.
    measured: whether the resource itself was measured, so that a full processor does not explain what was seen.
    """

    bottleneck: Bottleneck
    service: str
    operation: str
    saving: Saving
    evidence: tuple[str, ...]
    trace_ids: tuple[str, ...]
    predictor: str
    utilisation: float | None = None
    goodput: Goodput | None = None
    late_share: float = 0.0
    doubts: tuple[str, ...] = ()
    undecided: str = ""
    measured: bool = False

    @property
    def is_asynchronous(self) -> bool:
        """Whether no request waits for it: it delays what follows from requests."""
        return self.bottleneck is Bottleneck.CONSUMER_LAG
