"""What might be the bottleneck? Each class looks for what must be there; a new one is a new file, and a line here."""

from collections.abc import Callable, Sequence

from observability.analysis.observation import Observation
from observability.analysis.requests import Request
from observability.analysis.suspects.blocking_call import find_blocking_call
from observability.analysis.suspects.cold_cache import find_cold_cache
from observability.analysis.suspects.hot_row import find_hot_row
from observability.analysis.suspects.missing_index import find_missing_index
from observability.analysis.suspects.n_plus_one import find_n_plus_one
from observability.analysis.suspects.network_latency import find_network_latency
from observability.analysis.suspects.overload import find_overload
from observability.analysis.suspects.pool import find_pool
from observability.analysis.suspects.retries import find_retries
from observability.analysis.suspects.side_effect import find_side_effect
from observability.analysis.suspects.suspect import LEAST_SHARE, Suspect
from observability.analysis.suspects.unbounded_wait import find_unbounded_wait

Find = Callable[[Observation, Sequence[Request]], list[Suspect]]

FINDERS: tuple[Find, ...] = (
    find_n_plus_one,
    find_missing_index,
    find_hot_row,
    find_side_effect,
    find_retries,
    find_cold_cache,
    find_pool,
    find_blocking_call,
    find_network_latency,
    find_unbounded_wait,
    find_overload,
)


def find_suspects(observation: Observation, requests: Sequence[Request]) -> list[Suspect]:
    """Give all that take at least a tenth of the requests' time, those that take most first."""
    whole = sum(request.seconds for request in requests)
    found = [suspect for find in FINDERS for suspect in find(observation, requests)]
    worth = [suspect for suspect in found if suspect.saving.total() >= LEAST_SHARE * whole]
    return sorted(worth, key=lambda suspect: -suspect.saving.total())
