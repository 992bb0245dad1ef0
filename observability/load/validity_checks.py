"""Validity checks of a load run: each detects one way in which the load generator itself distorted the results."""

import bisect
import itertools
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from observability.analysis.quantiles import quantile
from observability.load.in_flight import InFlightSample
from observability.load.recorder import RequestRecord

# Gates that detect a generator at its limit. The others also fail when the platform falls behind, which is the very
# thing measured in overload experiments.
GENERATOR_GATES = frozenset({"sent = scheduled", "send lag", "generator CPU", "connections"})
SEND_LAG_FLOOR_SECONDS = 0.003
SEND_LAG_SHARE_OF_MEDIAN = 0.05
SEND_LAG_SHARE_OF_DEADLINE = 0.01
GENERATOR_CPU_SHARE_LIMIT = 0.70
IN_FLIGHT_TOLERANCE = 0.10
_FEWEST_SAMPLES = 20
_TWO_SIDED_95 = 1.96
_SEND_LAG = "send lag"
_IN_FLIGHT = "in flight at the server"
_OUTSIDE_SERVER_SECONDS = 0.001
_SHORTEST_LATENCY_SECONDS = 0.002


class GateStatus(StrEnum):
    """Result of a gate. A gate that could not be checked has not passed."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate's result, with a sentence that names the measured value and the limit."""

    name: str
    status: GateStatus
    sentence: str


def generator_failures(gates: Iterable[Gate]) -> tuple[str, ...]:
    """Return a sentence for each failed gate of the generator; empty if the generator kept up."""
    failed = (gate for gate in gates if gate.name in GENERATOR_GATES and gate.status is GateStatus.FAILED)
    return tuple(f"{gate.name}: {gate.sentence}" for gate in failed)


def sent_gate(*, scheduled: int, sent: int) -> Gate:
    """Check that every scheduled order was sent."""
    return _gate("sent = scheduled", f"{sent:,} sent of {scheduled:,} scheduled", passed=sent == scheduled)


def send_lag_gate(records: Sequence[RequestRecord], *, deadline_seconds: float | None = None) -> Gate:
    """Check that orders were sent when due: the lag's p99 is at most 3 ms or 5 % of the median latency.

    With a deadline, the limit is 1 % of it instead of 5 % of the median: then only lateness counts, not latency.
    """
    lag = quantile(sorted(record.sent_seconds - record.intended_seconds for record in records), 0.99)
    median = quantile(sorted(record.latency_seconds for record in records), 0.50)
    of_answers = SEND_LAG_SHARE_OF_MEDIAN * median
    of_deadline = SEND_LAG_SHARE_OF_DEADLINE * (deadline_seconds or 0.0)
    limit = max(SEND_LAG_FLOOR_SECONDS, of_answers if deadline_seconds is None else of_deadline)
    return _gate(_SEND_LAG, f"p99 {lag * 1e3:.2f} ms, limit {limit * 1e3:.2f} ms", passed=lag <= limit)


def generator_cpu_gate(*, busy_seconds: float, elapsed_seconds: float) -> Gate:
    """Check that the generator was not saturated: its core was busy, idle yields excluded, under 70 % of the run."""
    share = busy_seconds / elapsed_seconds
    sentence = f"{share:.0%} of its core, limit {GENERATOR_CPU_SHARE_LIMIT:.0%}"
    return _gate("generator CPU", sentence, passed=share < GENERATOR_CPU_SHARE_LIMIT)


def connections_gate(*, peak_in_flight: int, maximum_connections: int) -> Gate:
    """Check that no request waited for a connection: the requests in flight stayed within the connection limit."""
    sentence = f"at most {peak_in_flight:,} in flight, {maximum_connections:,} connections allowed"
    return _gate("connections", sentence, passed=peak_in_flight <= maximum_connections)


def backlog_gate(records: Sequence[RequestRecord], *, duration_seconds: float) -> Gate:
    """Check that the rate is sustained: the backlog of the last fifth is about that of the second fifth.

    The limit is twice the early backlog, plus room for chance: three times its square root, and two requests. A
    platform that falls behind by a tenth of the rate exceeds this limit within seconds.
    """
    intended = sorted(record.intended_seconds for record in records)
    done = sorted(record.done_seconds for record in records)
    early = _mean_between(intended, done, 0.2 * duration_seconds, 0.4 * duration_seconds)
    late = _mean_between(intended, done, 0.8 * duration_seconds, duration_seconds)
    limit = 2 * early + 3 * math.sqrt(early) + 2
    return _gate("backlog", f"{early:.1f} orders early, {late:.1f} at the end, limit {limit:.1f}", passed=late <= limit)


def in_flight_gate(records: Sequence[RequestRecord], samples: Sequence[InFlightSample]) -> Gate:
    """Check that the server's own count of requests in flight agrees with rate x latency (Little's law) within 10 %.

    The server's mean is estimated from its samples, with the generator's count at the same moments as control variate:
    the difference of the two varies far less than the count itself, which at low rates is mostly 0 or 1. The gate fails
    if the whole 95 % interval of the estimate lies beyond the limits.

    Latency here runs from sending, since a server cannot count an order before. Up to 1 ms of each latency is spent
    outside the server (the wire, and reading and writing on both sides), so the lower limit is
    0.9 x (1 - 1 ms / latency). The gate is not checked when it could not see a disagreement: with under 20 samples, an
    interval wider than +-10 %, or a mean latency under 2 ms.
    """
    sent, done = sorted(r.sent_seconds for r in records), sorted(r.done_seconds for r in records)
    within = [sample for sample in samples if sent[0] <= sample.at_seconds <= sent[-1]]
    latency = statistics.fmean(record.done_seconds - record.sent_seconds for record in records)
    if len(within) < _FEWEST_SAMPLES:
        return _not_checked(_IN_FLIGHT, f"{len(within)} samples of the server, {_FEWEST_SAMPLES} needed")
    expected = _mean_between(sent, done, within[0].at_seconds, within[-1].at_seconds)
    if latency < _SHORTEST_LATENCY_SECONDS or expected == 0:
        return _not_checked(_IN_FLIGHT, f"at a mean latency of {latency * 1e3:.2f} ms much of it is outside the server")
    differences = [each.requests - _count_at(sent, done, each.at_seconds) for each in within]
    ratio = 1 + statistics.fmean(differences) / expected
    half_width = _TWO_SIDED_95 * statistics.stdev(differences) / math.sqrt(len(within)) / expected
    lower = (1 - IN_FLIGHT_TOLERANCE) * (1 - _OUTSIDE_SERVER_SECONDS / latency)
    upper = 1 + IN_FLIGHT_TOLERANCE
    sentence = f"{ratio:.2f} +-{half_width:.2f} of rate x latency ({expected:.2f}), limits {lower:.2f} and {upper:.2f}"
    if ratio + half_width < lower or ratio - half_width > upper:
        return _gate(_IN_FLIGHT, sentence, passed=False)
    if half_width > IN_FLIGHT_TOLERANCE:
        return _not_checked(_IN_FLIGHT, f"{sentence}: {len(within)} samples are too few to see a disagreement")
    return _gate(_IN_FLIGHT, sentence, passed=True)


def _gate(name: str, sentence: str, *, passed: bool) -> Gate:
    return Gate(name, GateStatus.PASSED if passed else GateStatus.FAILED, sentence)


def _not_checked(name: str, sentence: str) -> Gate:
    return Gate(name, GateStatus.NOT_CHECKED, sentence)


def _count_at(starts: Sequence[float], ends: Sequence[float], at_seconds: float) -> int:
    """Return how many requests have started and not ended at a moment; both sequences are sorted."""
    return bisect.bisect_right(starts, at_seconds) - bisect.bisect_right(ends, at_seconds)


def _mean_between(starts: Sequence[float], ends: Sequence[float], since: float, until: float) -> float:
    """Return the time average of the requests that have started and not ended, between two moments."""
    if until <= since:
        return 0.0
    moments = sorted({since, until, *(at for at in (*starts, *ends) if since < at < until)})
    area = sum((after - at) * _count_at(starts, ends, at) for at, after in itertools.pairwise(moments))
    return area / (until - since)
