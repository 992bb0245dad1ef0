"""Detector of a cold cache: most lookups miss, and the values are read again from the source behind the cache."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.conventions.database import is_database_call, summary_of
from observability.analysis.conventions.operations import operation_of
from observability.analysis.critical_path import PathSegment
from observability.analysis.detectors.candidate import Candidate
from observability.analysis.observation import CacheUse, Observation
from observability.analysis.requests import Request, longest, seconds
from observability.analysis.spans import Span
from observability.analysis.trees import Node
from observability.analysis.whatif import Saving

_NANOSECONDS = 1e9
# In-memory key-value stores, as spans name them in `db.system.name`.
STORES = frozenset({"valkey", "redis", "memcached", "keydb", "dragonfly"})
# A useful cache has a higher hit ratio.
MOST_HITS = 0.5
# A key that is requested for the first time misses in any cache. At least this share of the misses must be keys that
# had been cached before, and expired or were evicted.
LEAST_LOST = 0.5

CodeLocation = tuple[str, str]


@dataclass(slots=True)
class _CacheLookups:
    """Lookups in a cache from one code location: the spans of one service and name.

    requests: number of requests.
    keys, found: keys that were looked up, and that were hits.
    lookup_seconds: of each lookup.
    reads: seconds of each read of a database after a lookup, by service and name.
    work_seconds: for each request, its path's time after the lookup in reads of a database.
    wait_seconds: for each request, its path's time after the lookup in anything else.
    """

    requests: int
    keys: int = 0
    found: int = 0
    lookup_seconds: list[float] = field(default_factory=list)
    reads: dict[CodeLocation, list[float]] = field(default_factory=lambda: defaultdict(list))
    work_seconds: list[float] = field(init=False)
    wait_seconds: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self.work_seconds, self.wait_seconds = [0.0] * self.requests, [0.0] * self.requests


def find_cold_cache(observation: Observation, requests: Sequence[Request]) -> list[Candidate]:
    """Return a candidate for each location whose lookups find fewer than half of their keys; the fix saves the reads.

    If cache statistics were recorded, most of the missing keys must have been cached before.
    """
    if observation.caches and not any(_mostly_lost(use) for use in observation.caches):
        return []
    return [
        _candidate(lookups, observation.caches, requests)
        for lookups in _lookups_by_location(requests).values()
        if lookups.reads and lookups.found < MOST_HITS * lookups.keys
    ]


def _mostly_lost(use: CacheUse) -> bool:
    return use.misses > 0 and use.expired + use.evicted >= LEAST_LOST * use.misses


def _lookups_by_location(requests: Sequence[Request]) -> dict[CodeLocation, _CacheLookups]:
    """Return the cache lookups by the service and name of the span that made them."""
    found: dict[CodeLocation, _CacheLookups] = defaultdict(lambda: _CacheLookups(len(requests)))
    for number, request in enumerate(requests):
        for parent, lookup in _lookups(request):
            lookups = found[_location(parent.span)]
            lookups.keys += _number(lookup.span, "db.operation.batch.size") or 1
            lookups.found += _number(lookup.span, "db.response.returned_rows")
            lookups.lookup_seconds.append(seconds([lookup]))
            for read in _reads_after(parent, lookup):
                lookups.reads[read.span.service, summary_of(read.span)].append(seconds([read]))
            _add_time_after_lookup(lookups, number, request, parent, lookup)
    for number, request in enumerate(requests):
        for node in request.nodes:
            # A request that waits for another one's read of the same keys makes no lookup and no read itself.
            if not node.children and _location(node.span) in found:
                found[_location(node.span)].wait_seconds[number] += request.seconds_below(node)
    return dict(found)


def _lookups(request: Request) -> Iterator[tuple[Node, Node]]:
    """Yield each span with a cache lookup below it, with the first such lookup."""
    for parent in request.nodes:
        lookups = [child for child in parent.children if _is_lookup(child.span)]
        if lookups:
            yield parent, min(lookups, key=lambda each: each.span.start_nanoseconds)


def _is_lookup(span: Span) -> bool:
    """Return whether a span is a lookup in a key-value store that records the number of hits."""
    asks = is_database_call(span) and _store(span) in STORES
    return asks and "db.response.returned_rows" in span.attributes


def _store(span: Span) -> object:
    return span.attributes.get("db.system.name", span.attributes.get("db.system"))


def _reads_after(parent: Node, lookup: Node) -> Iterator[Node]:
    """Yield the database calls, except those of key-value stores, below the same span after the lookup."""
    for node in parent.walk():
        after = node.span.start_nanoseconds >= lookup.span.end_nanoseconds
        if after and is_database_call(node.span) and _store(node.span) not in STORES:
            yield node


def _add_time_after_lookup(lookups: _CacheLookups, number: int, request: Request, parent: Node, lookup: Node) -> None:
    below = {node.span.span_id for node in parent.walk()}
    reads = {node.span.span_id for node in _reads_after(parent, lookup)}
    if not reads:
        return
    for segment in request.path:
        if segment.node.span.span_id in below:
            left = _seconds_after(segment, lookup.span.end_nanoseconds)
            to = lookups.work_seconds if segment.node.span.span_id in reads else lookups.wait_seconds
            to[number] += left


def _seconds_after(segment: PathSegment, nanoseconds: int) -> float:
    return max(0, segment.end_nanoseconds - max(segment.start_nanoseconds, nanoseconds)) / _NANOSECONDS


def _candidate(lookups: _CacheLookups, uses: Sequence[CacheUse], requests: Sequence[Request]) -> Candidate:
    (service, name), read = max(lookups.reads.items(), key=lambda item: sum(item[1]))
    # With a warm cache, a request that waited for another one's read would make a lookup instead.
    usual = median(lookups.lookup_seconds)
    waited = tuple(max(0.0, each - usual) if each else 0.0 for each in lookups.wait_seconds)
    evidence = [
        f"{lookups.found} of {lookups.keys} keys were found in the cache",
        f"{name!r} reads the rest, {len(read) / len(requests):.2f} times per request, {fmean(read) * 1e3:.1f} ms each",
    ]
    evidence += [
        f"{use.cache} had {use.misses:,} misses; {use.expired:,} keys had expired and {use.evicted:,} had been evicted"
        for use in uses
    ]
    return Candidate(
        bottleneck=Bottleneck.COLD_CACHE,
        service=service,
        operation=name,
        saving=Saving(work=tuple(lookups.work_seconds), wait=waited),
        evidence=tuple(evidence),
        trace_ids=longest(requests),
        predictor="retime: all lookups hit, so that nothing is read from the source",
    )


def _location(span: Span) -> CodeLocation:
    return span.service, operation_of(span)


def _number(span: Span, name: str) -> int:
    value = span.attributes.get(name)
    return int(value) if isinstance(value, int | float) else 0
