"""Cold cache: is most of what is asked of a cache not there, though it was, and read again from what is behind it?"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.critical_path import PathSegment
from observability.analysis.detectors.candidate import Candidate
from observability.analysis.observation import CacheUse, Observation
from observability.analysis.requests import Request, is_database_call, longest, seconds, summary_of
from observability.analysis.spans import Span
from observability.analysis.trees import Node
from observability.analysis.whatif import Saving

_NANOSECONDS = 1e9
# Stores that answer by key, from memory, as spans name them.
STORES = frozenset({"valkey", "redis", "memcached", "keydb", "dragonfly"})
# Of what is asked of a cache that is worth having more is there.
MOST_HITS = 0.5
# A key that is missing for the first time would be so in any cache: so many of those that were missing must have been
# there before, and come to their end or made room.
LEAST_LOST = 0.5

Place = tuple[str, str]


@dataclass(slots=True)
class _Asked:
    """What was asked of a cache at one place in the code, a span of one name: keys, found ones, and what followed.

    `work_seconds` and `wait_seconds` are what each request's path had of it after the cache had answered: in reads of
    a database, and otherwise. `reads` has the seconds of each such read by service and name.
    """

    requests: int
    keys: int = 0
    found: int = 0
    lookup_seconds: list[float] = field(default_factory=list)
    reads: dict[Place, list[float]] = field(default_factory=lambda: defaultdict(list))
    work_seconds: list[float] = field(init=False)
    wait_seconds: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self.work_seconds, self.wait_seconds = [0.0] * self.requests, [0.0] * self.requests


def find_cold_cache(observation: Observation, requests: Sequence[Request]) -> list[Candidate]:
    """Lookups of which fewer than half find their key, and the reads behind them: what requests would take without.

    Where a cache tells how its keys ended, most of what was missing must have been there before.
    """
    if observation.caches and not any(_were_there(use) for use in observation.caches):
        return []
    return [
        _suspect(asked, observation.caches, requests)
        for asked in _asked(requests).values()
        if asked.reads and asked.found < MOST_HITS * asked.keys
    ]


def _were_there(use: CacheUse) -> bool:
    return use.misses > 0 and use.expired + use.evicted >= LEAST_LOST * use.misses


def _asked(requests: Sequence[Request]) -> dict[Place, _Asked]:
    """Give what was asked of caches, by the service and name of the span in which it was."""
    found: dict[Place, _Asked] = defaultdict(lambda: _Asked(len(requests)))
    for number, request in enumerate(requests):
        for parent, lookup in _lookups(request):
            asked = found[_place(parent.span)]
            asked.keys += _number(lookup.span, "db.operation.batch.size") or 1
            asked.found += _number(lookup.span, "db.response.returned_rows")
            asked.lookup_seconds.append(seconds([lookup]))
            for read in _reads_after(parent, lookup):
                asked.reads[read.span.service, summary_of(read.span)].append(seconds([read]))
            _add_what_followed(asked, number, request, parent, lookup)
    for number, request in enumerate(requests):
        for node in request.root.walk():
            # Where another request is reading the same keys, this one waits for it, and asks nobody itself.
            if not node.children and _place(node.span) in found:
                found[_place(node.span)].wait_seconds[number] += request.seconds_below(node)
    return dict(found)


def _lookups(request: Request) -> Iterator[tuple[Node, Node]]:
    """Give the first lookup in a cache below each span that has one, with that span."""
    for parent in request.root.walk():
        lookups = [child for child in parent.children if _is_lookup(child.span)]
        if lookups:
            yield parent, min(lookups, key=lambda each: each.span.start_nanoseconds)


def _is_lookup(span: Span) -> bool:
    """Say whether a span asks a store for keys, and tells how many it found."""
    asks = is_database_call(span) and _store(span) in STORES
    return asks and "db.response.returned_rows" in span.attributes


def _store(span: Span) -> object:
    return span.attributes.get("db.system.name", span.attributes.get("db.system"))


def _reads_after(parent: Node, lookup: Node) -> Iterator[Node]:
    """Give the calls of databases, not of stores, that came below the same span after the lookup."""
    for node in parent.walk():
        after = node.span.start_nanoseconds >= lookup.span.end_nanoseconds
        if after and is_database_call(node.span) and _store(node.span) not in STORES:
            yield node


def _add_what_followed(asked: _Asked, number: int, request: Request, parent: Node, lookup: Node) -> None:
    below = {node.span.span_id for node in parent.walk()}
    reads = {node.span.span_id for node in _reads_after(parent, lookup)}
    if not reads:
        return
    for segment in request.path:
        if segment.node.span.span_id in below:
            left = _seconds_after(segment, lookup.span.end_nanoseconds)
            to = asked.work_seconds if segment.node.span.span_id in reads else asked.wait_seconds
            to[number] += left


def _seconds_after(segment: PathSegment, nanoseconds: int) -> float:
    return max(0, segment.end_nanoseconds - max(segment.start_nanoseconds, nanoseconds)) / _NANOSECONDS


def _suspect(asked: _Asked, uses: Sequence[CacheUse], requests: Sequence[Request]) -> Candidate:
    (service, name), read = max(asked.reads.items(), key=lambda item: sum(item[1]))
    # Who waited for another's read would have asked the cache instead.
    usual = median(asked.lookup_seconds)
    waited = tuple(max(0.0, each - usual) if each else 0.0 for each in asked.wait_seconds)
    evidence = [
        f"{asked.found} of {asked.keys} keys that were asked of a cache were there",
        f"{name!r} reads the others, {len(read) / len(requests):.2f} times a request, {fmean(read) * 1e3:.1f} ms each",
    ]
    evidence += [
        f"of {use.misses:,} keys missing from {use.cache}, {use.expired:,} had come to their end and {use.evicted:,} "
        "had made room"
        for use in uses
    ]
    return Candidate(
        bottleneck=Bottleneck.COLD_CACHE,
        service=service,
        operation=name,
        saving=Saving(work=tuple(asked.work_seconds), wait=waited),
        evidence=tuple(evidence),
        trace_ids=longest(requests),
        predictor="retime: the keys are there, and nothing is read behind the cache",
    )


def _place(span: Span) -> Place:
    return span.service, span.name


def _number(span: Span, name: str) -> int:
    value = span.attributes.get(name)
    return int(value) if isinstance(value, int | float) else 0
