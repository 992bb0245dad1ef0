"""Can a run's figures be believed? Each gate is one way in which the generator, not the platform, would be measured."""

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

# Of the names of gates: those that say whether the generator was the limit. The others fail where a platform falls
# behind, which is what is measured where more is asked of it than it can do.
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
    """What a gate says; a gate that could not be checked is never passed."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate's verdict, with what was measured and what was asked for in a sentence."""

    name: str
    status: GateStatus
    sentence: str


def generator_failures(gates: Iterable[Gate]) -> tuple[str, ...]:
    """Say where the generator was the limit, whatever became of the platform; nothing where it was not."""
    failed = (gate for gate in gates if gate.name in GENERATOR_GATES and gate.status is GateStatus.FAILED)
    return tuple(f"{gate.name}: {gate.sentence}" for gate in failed)


def sent_gate(*, scheduled: int, sent: int) -> Gate:
    """Every scheduled order was sent."""
    return _gate("sent = scheduled", f"{sent:,} sent of {scheduled:,} scheduled", passed=sent == scheduled)


def send_lag_gate(records: Sequence[RequestRecord], *, deadline_seconds: float | None = None) -> Gate:
    """Orders left when they were due: the 99th percentile of the lag is at most 3 ms or 5 % of the median latency.

    Where it is asked which answers came within a deadline, and not how soon, it is a hundredth of that.
    """
    lag = quantile(sorted(record.sent_seconds - record.intended_seconds for record in records), 0.99)
    median = quantile(sorted(record.latency_seconds for record in records), 0.50)
    of_answers = SEND_LAG_SHARE_OF_MEDIAN * median
    of_deadline = SEND_LAG_SHARE_OF_DEADLINE * (deadline_seconds or 0.0)
    limit = max(SEND_LAG_FLOOR_SECONDS, of_answers if deadline_seconds is None else of_deadline)
    return _gate(_SEND_LAG, f"p99 {lag * 1e3:.2f} ms, limit {limit * 1e3:.2f} ms", passed=lag <= limit)


def generator_cpu_gate(*, busy_seconds: float, elapsed_seconds: float) -> Gate:
    """The generator had room: it kept its core busy, idle yields apart, for less than 70 % of the run."""
    share = busy_seconds / elapsed_seconds
    sentence = f"{share:.0%} of its core, limit {GENERATOR_CPU_SHARE_LIMIT:.0%}"
    return _gate("generator CPU", sentence, passed=share < GENERATOR_CPU_SHARE_LIMIT)


def connections_gate(*, peak_in_flight: int, maximum_connections: int) -> Gate:
    """No request waited in the generator for a connection: what was in flight stayed within their bound."""
    sentence = f"at most {peak_in_flight:,} in flight, {maximum_connections:,} connections allowed"
    return _gate("connections", sentence, passed=peak_in_flight <= maximum_connections)


def backlog_gate(records: Sequence[RequestRecord], *, duration_seconds: float) -> Gate:
    """The backlog of the last fifth is about that of the second fifth, so the run measured a rate that is kept up.

    Allowed are twice the early backlog, and beyond it what chance does to a queue: three times the root of the early
    backlog, and two requests. A platform that falls behind by a tenth of the rate passes this bound within seconds.
    """
    intended = sorted(record.intended_seconds for record in records)
    done = sorted(record.done_seconds for record in records)
    early = _mean_between(intended, done, 0.2 * duration_seconds, 0.4 * duration_seconds)
    late = _mean_between(intended, done, 0.8 * duration_seconds, duration_seconds)
    limit = 2 * early + 3 * math.sqrt(early) + 2
    return _gate("backlog", f"{early:.1f} orders early, {late:.1f} at the end, limit {limit:.1f}", passed=late <= limit)


def in_flight_gate(records: Sequence[RequestRecord], samples: Sequence[InFlightSample]) -> Gate:
    """The server's own count of requests in flight agrees with rate x latency within 10 %.

    The server's mean is estimated from its samples with the generator's own count at the same moments as a control:
    a sample's difference from that count varies far less than the count itself, which at low rates is mostly 0 or 1.
    The estimate has a 95 % interval, and the gate fails when the whole of it lies beyond the limits.

    Latency here runs from sending, since a server cannot know what has not been sent; and of each latency up to a
    millisecond is spent where no server counts it (the wire, and reading and writing on both sides), which lowers the
    lower limit: 0.9 x (1 - 1 ms / latency). Not checked, as it could see no disagreement, is a run with under 20
    samples, with an interval wider than +-10 %, or with a mean latency under 2 ms.
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
    """Count what has started and not ended at one moment; both sequences are sorted."""
    return bisect.bisect_right(starts, at_seconds) - bisect.bisect_right(ends, at_seconds)


def _mean_between(starts: Sequence[float], ends: Sequence[float], since: float, until: float) -> float:
    """Average over time how many have started and not ended between two moments."""
    if until <= since:
        return 0.0
    moments = sorted({since, until, *(at for at in (*starts, *ends) if since < at < until)})
    area = sum((after - at) * _count_at(starts, ends, at) for at, after in itertools.pairwise(moments))
    return area / (until - since)
