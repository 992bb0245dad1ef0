"""Processor use of everything that was observed, and of each service.

Each use is judged against its own limit: a quota, the processors of its machine, or one where code runs in one thread.
The use of two processes is summed only where they share one processor.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations, pairwise
from typing import TypeVar

from observability.analysis.observation import Observation, ProcessSample, TimedScrape
from observability.analysis.processor_metrics import measured
from observability.analysis.processor_use import ONE_THREAD, ONE_THREAD_LIMIT, ProcessorUse, Scope

_Timed = TypeVar("_Timed", ProcessSample, TimedScrape)


def utilisation(observation: Observation) -> float | None:
    """Return the utilisation (0 to 1) of the one processor or machine that everything shares; None if unknown.

    Several processors have none in common: `fullest` tells which is used most.
    """
    sampled = _sampled(observation)
    if len(sampled) > 1 and _share_one(sampled):
        return sum(each.used for each in sampled)
    known = processors(observation)
    machines = [each for each in known if each.scope is Scope.MACHINE] or known
    return machines[0].share if len(machines) == 1 else None


def fullest(observation: Observation, services: Iterable[str]) -> ProcessorUse | None:
    """Return the processor use nearest to its limit among those that the services may wait for; None if unknown.

    These are the services' own, those of sampled processes, and the machine's if there is only one. Metrics may cover
    many others.
    """
    known = processors(observation)
    sampled = {sample.process for sample in observation.processes}
    machines = [each for each in known if each.scope is Scope.MACHINE]
    needed = [
        *by_service(observation, services).values(),
        *(each for each in known if each.owner in sampled),
        *(machines if len(machines) == 1 else ()),
    ]
    limited = [each for each in needed if each.fullness is not None]
    return max(limited, key=lambda each: each.fullness or 0.0, default=None)


def processors(observation: Observation) -> list[ProcessorUse]:
    """Return every known processor use. A process that was sampled and scraped counts once, with the sampled use."""
    scraped = measured(observation.scrapes)
    by_owner = {each.owner: each for each in scraped if each.scope is Scope.PROCESS}
    sampled = _sampled(observation)
    total = sum(each.used for each in sampled)
    shared = len(sampled) > 1 and _share_one(sampled)
    known = [
        replace(each, limit=1.0, limited_by="shared", others=total - each.used)
        if shared
        else _limited(each, by_owner.get(each.owner))
        for each in sampled
    ]
    names = {each.owner for each in sampled}
    return known + [each for each in scraped if each.scope is not Scope.PROCESS or each.owner not in names]


def _limited(sampled: ProcessorUse, scraped: ProcessorUse | None) -> ProcessorUse:
    """Return the use of a sampled process with its limit, which its own metrics may tell."""
    if scraped is not None and scraped.limit is not None:
        return replace(sampled, limit=scraped.limit, limited_by=scraped.limited_by, stopped=scraped.stopped)
    return replace(sampled, limit=1.0, limited_by=ONE_THREAD_LIMIT) if sampled.used <= ONE_THREAD else sampled


def within(observation: Observation, start: float, end: float) -> Observation:
    """Return the observation with the samples and scrapes of a time, and the last before and the first after it."""
    return replace(
        observation,
        processes=tuple(_around(observation.processes, lambda each: each.process, start, end)),
        scrapes=tuple(_around(observation.scrapes, lambda each: each.target, start, end)),
    )


def _around(samples: Iterable[_Timed], name_of: Callable[[_Timed], str], start: float, end: float) -> Iterator[_Timed]:
    by_name: dict[str, list[_Timed]] = defaultdict(list)
    for each in samples:
        by_name[name_of(each)].append(each)
    for alike in by_name.values():
        first = max((number for number, each in enumerate(alike) if each.at_seconds <= start), default=0)
        last = min((number for number, each in enumerate(alike) if each.at_seconds >= end), default=len(alike))
        yield from alike[first : last + 1]


def by_service(observation: Observation, services: Iterable[str]) -> dict[str, ProcessorUse]:
    """Return for each service the fullest of its processes and containers.

    One belongs to the service of its name: of the target, or of a label such as the container or the pod. If none has
    a name of a service, and there is only one process or machine, all services run on it.
    """
    names = sorted(services, key=len, reverse=True)
    found: dict[str, list[ProcessorUse]] = defaultdict(list)
    known = processors(observation)
    for each in known:
        if each.scope is not Scope.MACHINE and (service := _service_of(each, names)) is not None:
            found[service].append(each)
    if not found:
        processes = [each for each in known if each.scope is not Scope.MACHINE] or known
        found.update((name, processes) for name in names if len(processes) == 1)
    return {name: max(uses, key=lambda each: each.fullness or 0.0) for name, uses in found.items()}


def _service_of(use: ProcessorUse, names: Sequence[str]) -> str | None:
    """Return the service with the longest name that a process is named after, as pods and containers are."""
    values = [_normal(value) for value in (use.owner, *(value for _, value in use.labels))]
    for name in names:
        wanted = re.compile(rf"(?:.*[-/.])?{re.escape(_normal(name))}(?:[-.:][a-z0-9]+)*")
        if any(wanted.fullmatch(value) for value in values):
            return name
    return None


def _normal(name: str) -> str:
    return name.lower().replace("_", "-")


# --- Samples of processes ---------------------------------------------------------------------------------------------


def _by_process(observation: Observation) -> dict[str, list[ProcessSample]]:
    found: dict[str, list[ProcessSample]] = defaultdict(list)
    for sample in observation.processes:
        found[sample.process].append(sample)
    return found


def _sampled(observation: Observation) -> list[ProcessorUse]:
    """Return the use of each sampled process; several of one name are left out: their counters decrease."""
    uses = []
    for name, samples in _by_process(observation).items():
        seconds = samples[-1].at_seconds - samples[0].at_seconds
        if seconds <= 0 or any(later.cpu_seconds < former.cpu_seconds for former, later in pairwise(samples)):
            continue
        waits = [each.wait_seconds for each in samples if each.wait_seconds is not None]
        waited = max(0.0, waits[-1] - waits[0]) / seconds if len(waits) == len(samples) else None
        used = (samples[-1].cpu_seconds - samples[0].cpu_seconds) / seconds
        uses.append(ProcessorUse(name, Scope.PROCESS, (), used, waited=waited))
    return uses


def _share_one(processes: Sequence[ProcessorUse]) -> bool:
    """Return whether processes share one processor: they wait while another one runs.

    Two that run independently would run together for the product of their shares. On one processor, one of the two then
    waits. Half of that is asked for, since processes that call each other take turns.
    """
    if sum(each.used for each in processes) > ONE_THREAD:
        return False
    together = sum(one.used * other.used for one, other in combinations(processes, 2))
    return sum(each.waited or 0.0 for each in processes) >= together / 2 > 0
