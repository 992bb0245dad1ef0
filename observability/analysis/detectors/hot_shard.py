"""Detector of a hot shard: one of several equal database servers has most of the load, and requests wait for it.

Servers are equal if a service sends them the same statements, as it does to shards. The hot one gets more than its
share of the calls, and these take longer than the same statements elsewhere: they wait for a connection, or for the
server. Without load, all servers are about as fast: one that is slower than the others even then is no hot shard.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.conventions.attributes import text_of
from observability.analysis.conventions.database import is_database_call, namespace_of, summary_of
from observability.analysis.detectors.candidate import UNHINDERED, Candidate
from observability.analysis.observation import Observation
from observability.analysis.quantiles import quantile
from observability.analysis.requests import Request, longest, total_seconds
from observability.analysis.resources import pools
from observability.analysis.spans import Span
from observability.analysis.whatif import Saving, relative_wait

_NANOSECONDS = 1e9
_ADDRESS = ("server.address", "net.peer.name", "net.sock.peer.addr", "peer.address")
_PORTS = ("server.port", "net.peer.port", "net.sock.peer.port")
# Two servers are equal if at least this share of the calls to each are statements that the other gets, too.
_LEAST_ALIKE = 0.8
# A hot server gets at least this multiple of its share.
_LEAST_LOAD = 1.4
# Fewest calls of a statement from which its usual time is estimated.
_FEWEST_CALLS = 8
# Without load, a statement takes about as long on all equal servers; at most they differ by this factor.
_AS_FAST = 2.0


@dataclass(slots=True)
class _Server:
    """What requests wait for at one server, in seconds.

    calls: durations of each statement, with the wait for its connection.
    by_request: the request, the statement and the duration of each call.
    """

    calls: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    by_request: list[tuple[int, str, float]] = field(default_factory=list)

    @property
    def count(self) -> int:
        """The number of calls."""
        return len(self.by_request)

    def alike(self, other: "_Server") -> float:
        """Return the share of the calls that are statements which the other server gets, too."""
        return sum(len(calls) for name, calls in self.calls.items() if name in other.calls) / self.count


def find_hot_shard(observation: Observation, requests: Sequence[Request]) -> list[Candidate]:
    """Return a candidate for each service with a hot server; the fix gives each of the equal servers the same load."""
    candidates = (
        _candidate(service, servers, observation, requests) for service, servers in _by_service(requests).items()
    )
    return [each for each in candidates if each is not None]


def _by_service(requests: Sequence[Request]) -> Mapping[str, Mapping[str, _Server]]:
    """Return the database servers that requests wait for, by service and name."""
    found: dict[str, dict[str, _Server]] = defaultdict(lambda: defaultdict(_Server))
    for number, request in enumerate(requests):
        for node in request.waited_for():
            span = node.span
            if is_database_call(span) and (name := server_of(span)):
                server, seconds = found[span.service][name], span.duration_nanoseconds / _NANOSECONDS
                server.calls[summary_of(span)].append(seconds)
                server.by_request.append((number, summary_of(span), seconds))
    return found


def server_of(span: Span) -> str:
    """Return the address, port and database that a call goes to; empty when no address is known."""
    address = text_of(span, _ADDRESS)
    port = next((str(span.attributes[name]) for name in _PORTS if name in span.attributes), "")
    database = namespace_of(span)
    return address and address + (f":{port}" if port else "") + (f"/{database}" if database else "")


def _candidate(
    service: str, servers: Mapping[str, _Server], observation: Observation, requests: Sequence[Request]
) -> Candidate | None:
    name, hot = max(servers.items(), key=lambda each: each[1].count)
    others = [each for other, each in servers.items() if other != name and _are_equal(hot, each)]
    if not others:
        return None
    load = hot.count / fmean(each.count for each in (hot, *others))
    usual = _usual_seconds(others)
    if load < _LEAST_LOAD or not _is_as_fast(hot, others, usual):
        return None
    more = [0.0] * len(requests)
    taken = expected = 0.0
    for number, statement, seconds in hot.by_request:
        if statement in usual:
            more[number] += seconds - usual[statement]
            taken += seconds
            expected += usual[statement]
    more = [max(0.0, each) for each in more]
    slower = taken / expected if expected else 1.0
    busy = max(_of_queue(slower), _of_pool(service, observation))
    saved = 1 - relative_wait(busy / load) / relative_wait(busy) if busy else 0.0
    share = sum(more) / total_seconds(requests)
    calls = ", ".join(f"{each.count:,}" for each in sorted(others, key=lambda each: -each.count))
    return Candidate(
        bottleneck=Bottleneck.HOT_SHARD,
        service=service,
        operation=name,
        saving=Saving(work=(0.0,) * len(requests), wait=tuple(saved * each for each in more)),
        evidence=(
            f"{name} gets {hot.count:,} calls of {service}, {load:.1f} times its share; equal servers get {calls}",
            f"the same statements take {slower:.1f} times as long there, with the wait for a connection",
            f"this is {share:.0%} of the requests' time",
            f"its queue is that of {busy:.0%} utilisation; with even load it would be {busy / load:.0%}",
        ),
        trace_ids=longest(requests),
        predictor="queueing: each of the equal servers has the same load",
    )


def _are_equal(hot: _Server, other: _Server) -> bool:
    return min(hot.alike(other), other.alike(hot)) >= _LEAST_ALIKE


def _usual_seconds(others: Sequence[_Server]) -> dict[str, float]:
    """Return the mean duration on the other servers of each statement that is called often enough there."""
    return {name: fmean(calls) for name, calls in _calls_of(others) if len(calls) >= _FEWEST_CALLS}


def _calls_of(servers: Sequence[_Server]) -> Iterator[tuple[str, list[float]]]:
    for name in {name for server in servers for name in server.calls}:
        yield name, [seconds for server in servers for seconds in server.calls.get(name, ())]


def _is_as_fast(hot: _Server, others: Sequence[_Server], usual: Mapping[str, float]) -> bool:
    """Return whether the statement that takes most time is as fast on the hot server when it does not have to wait."""
    shared = [name for name in usual if len(hot.calls.get(name, ())) >= _FEWEST_CALLS]
    if not shared:
        return False
    most = max(shared, key=lambda name: sum(hot.calls[name]))
    elsewhere = sorted(dict(_calls_of(others))[most])
    return quantile(sorted(hot.calls[most]), UNHINDERED) <= _AS_FAST * quantile(elsewhere, UNHINDERED)


def _of_queue(slower: float) -> float:
    """Return the utilisation at which the queue makes a statement take `slower` times as long."""
    return max(0.0, 1 - 1 / slower) if slower else 0.0


def _of_pool(service: str, observation: Observation) -> float:
    """Return the utilisation of the service's fullest connection pool; 0 when it is not known."""
    times = [each.at_seconds for each in observation.scrapes if each.target == service]
    seconds = max(times) - min(times) if times else 0.0
    known = [each for each in pools(observation) if each.target == service]
    return max((each.hold_seconds / each.limit / seconds for each in known), default=0.0) if seconds else 0.0
