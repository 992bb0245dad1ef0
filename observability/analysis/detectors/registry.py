"""Registry of all detectors; a new class of bottleneck is a new file and a line here."""

from collections.abc import Callable, Sequence

from observability.analysis.detectors.blocking_call import find_blocking_call
from observability.analysis.detectors.candidate import LEAST_SHARE, Candidate
from observability.analysis.detectors.chatty_rpc import find_chatty_rpc
from observability.analysis.detectors.cold_cache import find_cold_cache
from observability.analysis.detectors.concurrency_limit import find_concurrency_limit
from observability.analysis.detectors.consumer_lag import find_consumer_lag
from observability.analysis.detectors.cpu_bound import find_cpu_bound
from observability.analysis.detectors.hot_row import find_hot_row
from observability.analysis.detectors.hot_shard import find_hot_shard
from observability.analysis.detectors.missing_index import find_missing_index
from observability.analysis.detectors.n_plus_one import find_n_plus_one
from observability.analysis.detectors.network_latency import find_network_latency
from observability.analysis.detectors.overload import find_overload
from observability.analysis.detectors.payload import find_payload
from observability.analysis.detectors.pool import find_pool
from observability.analysis.detectors.read_saturation import find_read_saturation
from observability.analysis.detectors.retries import find_retries
from observability.analysis.detectors.serial_resource import find_serial_resource
from observability.analysis.detectors.side_effect import find_side_effect
from observability.analysis.detectors.slow_call import find_slow_call
from observability.analysis.detectors.unbounded_wait import find_unbounded_wait
from observability.analysis.observation import Observation
from observability.analysis.requests import Request

Detector = Callable[[Observation, Sequence[Request]], list[Candidate]]

DETECTORS: tuple[Detector, ...] = (
    find_n_plus_one,
    find_chatty_rpc,
    find_missing_index,
    find_hot_row,
    find_hot_shard,
    find_side_effect,
    find_retries,
    find_cold_cache,
    find_read_saturation,
    find_pool,
    find_blocking_call,
    find_cpu_bound,
    find_network_latency,
    find_unbounded_wait,
    find_overload,
    find_serial_resource,
    find_concurrency_limit,
    find_slow_call,
    find_payload,
    find_consumer_lag,
)


def find_candidates(observation: Observation, requests: Sequence[Request]) -> list[Candidate]:
    """Return the candidates that take at least a tenth of the requests' time, the largest first.

    A consumer that no request waits for takes none of it.
    """
    whole = sum(request.seconds for request in requests)
    found = [candidate for detect in DETECTORS for candidate in detect(observation, requests)]
    worth = [each for each in found if each.saving.total() >= LEAST_SHARE * whole or each.is_asynchronous]
    return sorted(worth, key=lambda candidate: -candidate.saving.total())
