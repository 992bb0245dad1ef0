"""Measurements of all patterns: those on a shared testbed first, then those with servers of their own."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import TypeAlias

from observability.bench.patterns.backoff import backoff
from observability.bench.patterns.blocks import PatternBench
from observability.bench.patterns.effect import PatternEffect
from observability.bench.patterns.event_logs import event_logs
from observability.bench.patterns.lists import lists
from observability.bench.patterns.outage import outage
from observability.bench.patterns.servers import read_replicas, sharding
from observability.bench.patterns.telemetry import telemetry
from observability.bench.patterns.variants import coarse_services, events, measure_first, one_process
from observability.experiments.runner.testbed import Testbed

Effects: TypeAlias = Mapping[str, Sequence[PatternEffect]]

ON_TESTBED: Mapping[str, Callable[[PatternBench, Testbed], Awaitable[Sequence[PatternEffect]]]] = {
    "modular_monolith": one_process,
    "events": events,
    "coarse_services": coarse_services,
    "measure_first": measure_first,
}
# One measurement shows both.
OUTAGE = frozenset({"circuit_breaker", "design_for_failure"})
ALONE: Mapping[str, Callable[[PatternBench], Awaitable[Sequence[PatternEffect]]]] = {
    "cqrs": lists,
    "retry_with_jitter": backoff,
    "read_replicas": read_replicas,
    "sharding": sharding,
    "observability": telemetry,
    "boring_technology": event_logs,
}


async def measure(bench: PatternBench, names: Collection[str]) -> AsyncIterator[Effects]:
    """Yield the effects by pattern after each measurement. Raises LocalError, LoadError, TestbedError, TrialError."""
    if wanted := set(names) - set(ALONE):
        bench.say("starting a testbed")
        async with Testbed.open(bench.folder / "testbed") as testbed:
            for name in filter(wanted.__contains__, ON_TESTBED):
                yield {name: await ON_TESTBED[name](bench, testbed)}
            if OUTAGE & wanted:
                found = await outage(bench, testbed)
                yield {name: effects for name, effects in found.items() if name in wanted}
    for name in filter(set(names).__contains__, ALONE):
        yield {name: await ALONE[name](bench)}
