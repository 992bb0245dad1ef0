"""Processor use from metrics, under the names that common exporters and runtimes give them."""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from observability.analysis.observation import TimedScrape
from observability.analysis.openmetrics import Labels
from observability.analysis.processor_use import ONE_THREAD, ProcessorUse, Scope

_SLICES = {"nanoseconds": 1e-9, "microseconds": 1e-6, "milliseconds": 1e-3, "seconds": 1.0}
# Names differ between languages, exporters and Collectors; all of these are counters of processor time.
_UNIT = r"(?P<unit>(?:nano|micro|milli)?seconds)_total"
_USE = {
    Scope.PROCESS: re.compile(
        rf"(?:\w+_)?(?:process|jvm|cpython|namedprocess_namegroup)_cpu_(?:time_|user_|system_)?{_UNIT}"
    ),
    Scope.CONTAINER: re.compile(rf"(?:k8s_)?container_cpu_(?:usage_|time_|user_|system_)?(?:total_)?{_UNIT}"),
    Scope.MACHINE: re.compile(rf"(?:node|system)_cpu_(?:time_)?{_UNIT}"),
}
# Gauges of a process's use, as a share of all processors of its machine.
_SHARE = re.compile(r"(?:process|jvm|process_runtime_jvm)_cpu(?:_recent)?_(?:usage|utilization)(?:_ratio)?")
_PROCESSORS = re.compile(
    r"go_sched_gomaxprocs_threads|go_processor_limit|process_runtime_go_gomaxprocs|system_cpu_count|jvm_cpu_count|"
    r"process_cpu_count|dotnet_process_cpu_count|k8s_container_cpu_limit|container_cpu_limit"
)
_QUOTA, _PERIOD = "container_spec_cpu_quota", "container_spec_cpu_period"
_KUBERNETES_LIMITS = "kube_pod_container_resource_limits"
_WAITED = re.compile(r"\w*run_?queue_wait\w*_seconds_total|container_pressure_cpu_waiting_seconds_total")
_STOPPED_PERIODS, _PERIODS = "container_cpu_cfs_throttled_periods_total", "container_cpu_cfs_periods_total"
_STOPPED_SECONDS = "container_cpu_cfs_throttled_seconds_total"
# Runtimes that execute code in one thread at a time: node.js, CPython, Ruby, and any event loop.
_RUNS_ONE_THREAD = re.compile(
    r"nodejs_\w+|python_(?:info|gc_\w+)|(?:\w+_)?cpython_\w+|ruby_\w+|\w*event_?loop_(?:lag|delay|utilization)\w*"
)
# Those of them that identify the runtime only.
_RUNTIMES = ("nodejs_version_info", "python_info")
# Labels that divide one use into parts: which processor, user or system.
_PART = re.compile(r"\w*cpu\w*|\w*mode|\w*state|type")
_IDLE = frozenset({"idle", "iowait"})
# Labels that tell which process or container a value belongs to.
_IDENTITIES = ("pod", "container", "name", "id", "instance", "k8s_pod_name", "k8s_container_name", "container_name")
# The series of a single container has one of these labels; series without one are sums over containers.
_NAMES_A_CONTAINER = ("container", "name", "k8s_container_name", "container_name")
_PAUSE = "POD"

_Key = tuple[str, Labels]


def is_processor_metric(name: str) -> bool:
    """Return whether a metric of this name tells about processors: their use, a limit, a wait, or the runtime."""
    exact = {_QUOTA, _PERIOD, _KUBERNETES_LIMITS, _STOPPED_PERIODS, _STOPPED_SECONDS, _PERIODS, *_RUNTIMES}
    patterns = (*_USE.values(), _SHARE, _PROCESSORS, _WAITED)
    return name in exact or any(pattern.fullmatch(name) for pattern in patterns)


def is_machine_metric(name: str) -> bool:
    """Return whether a metric of this name is the use of a machine."""
    return _USE[Scope.MACHINE].fullmatch(name) is not None


def measured(scrapes: Iterable[TimedScrape]) -> list[ProcessorUse]:
    """Return each processor use that the metrics record."""
    metrics = _Metrics(scrapes)
    return [*_processes(metrics), *_containers(metrics), *_machines(metrics)]


@dataclass(slots=True)
class _Series:
    """One series of a target: when it was seen, and its values."""

    times: list[float]
    values: list[float]

    def increase_per_second(self) -> float | None:
        """Return the increase of a counter; a value that fell was reset by a restart and counts in full."""
        seconds = self.times[-1] - self.times[0]
        if seconds <= 0:
            return None
        return sum(new - old if new >= old else new for old, new in pairwise(self.values)) / seconds

    def mean(self) -> float:
        return fmean(self.values)


class _Metrics:
    """All series of an observation that tell about processors, by name."""

    def __init__(self, scrapes: Iterable[TimedScrape]) -> None:
        self.by_name: dict[str, dict[_Key, _Series]] = defaultdict(dict)
        self.one_thread: set[str] = set()
        relevant: dict[str, bool] = {}
        for scrape in sorted(scrapes, key=lambda each: each.at_seconds):
            for name, samples in scrape.scrape.samples.items():
                if _RUNS_ONE_THREAD.fullmatch(name):
                    self.one_thread.add(scrape.target)
                if relevant.setdefault(name, is_processor_metric(name)):
                    for labels, value in samples.items():
                        series = self.by_name[name].setdefault((scrape.target, labels), _Series([], []))
                        series.times.append(scrape.at_seconds)
                        series.values.append(value)

    def rates(self, name: str) -> dict[_Key, float]:
        """Return the increase a second by target and labels; the parts of one use (user, system) are summed."""
        return _summed(
            ((target, labels), rate)
            for (target, labels), series in self.by_name.get(name, {}).items()
            if (rate := series.increase_per_second()) is not None
        )

    def means(self, name: str) -> dict[_Key, float]:
        return {key: series.mean() for key, series in self.by_name.get(name, {}).items()}

    def matching(self, pattern: re.Pattern[str]) -> list[tuple[str, re.Match[str]]]:
        return [(name, found) for name in self.by_name if (found := pattern.fullmatch(name))]


def _summed(values: Iterable[tuple[_Key, float]]) -> dict[_Key, float]:
    found: dict[_Key, float] = defaultdict(float)
    for (target, labels), value in values:
        found[target, tuple(each for each in labels if not _PART.fullmatch(each[0]))] += value
    return dict(found)


def _largest_rates(metrics: _Metrics, scope: Scope) -> dict[_Key, float]:
    """Return the use by target and labels; of several counters of one process the largest includes the others."""
    found: dict[_Key, float] = {}
    for name, match in metrics.matching(_USE[scope]):
        for key, rate in metrics.rates(name).items():
            found[key] = max(found.get(key, 0.0), rate * _SLICES.get(match["unit"], 1.0))
    return found


def _processes(metrics: _Metrics) -> Iterator[ProcessorUse]:
    used = _largest_rates(metrics, Scope.PROCESS)
    waits = [(key, rate) for name, _ in metrics.matching(_WAITED) for key, rate in metrics.rates(name).items()]
    for (target, labels), amount in used.items():
        limit, limited_by = _limit_of(metrics, target, labels, amount)
        waited = next((rate for (at, theirs), rate in waits if at == target and _is_same(labels, theirs)), None)
        stopped = _stopped_share(metrics, labels)
        yield ProcessorUse(target, Scope.PROCESS, labels, amount, limit, limited_by, waited=waited, stopped=stopped)
    for name, _ in metrics.matching(_SHARE):
        for (target, labels), share in metrics.means(name).items():
            if (target, labels) not in used and 0 <= share <= 1:
                count, _ = _limit_of(metrics, target, labels, math.inf)
                yield ProcessorUse(target, Scope.PROCESS, labels, share * (count or 1.0), count or 1.0, "its machine")


def _limit_of(metrics: _Metrics, target: str, labels: Labels, used: float) -> tuple[float | None, str]:
    """Return the least limit of a process, and what sets it."""
    limits = [
        (mean, "the processors that its runtime sees")
        for name, _ in metrics.matching(_PROCESSORS)
        for (at, theirs), mean in metrics.means(name).items()
        if at == target and _is_same(labels, theirs) and mean > 0
    ]
    if (quota := _quota(metrics, labels)) is not None:
        limits.append((quota, "its quota"))
    if target in metrics.one_thread and used <= ONE_THREAD:
        limits.append((1.0, "its code runs in one thread"))
    return min(limits, default=(None, ""))


def _containers(metrics: _Metrics) -> Iterator[ProcessorUse]:
    for (_, labels), amount in _largest_rates(metrics, Scope.CONTAINER).items():
        known = dict(labels)
        named = [known[name] for name in _NAMES_A_CONTAINER if known.get(name)]
        if not named or _PAUSE in named:
            continue
        quota = _quota(metrics, labels)
        seconds = next(
            (rate for (_, theirs), rate in metrics.rates(_STOPPED_SECONDS).items() if _is_named_alike(labels, theirs)),
            None,
        )
        yield ProcessorUse(
            owner=named[0],
            scope=Scope.CONTAINER,
            labels=labels,
            used=amount,
            limit=quota,
            limited_by="its quota" if quota else "",
            waited=seconds,
            stopped=_stopped_share(metrics, labels),
        )


def _quota(metrics: _Metrics, labels: Labels) -> float | None:
    """Return the quota of a container in processors; None without one."""
    periods = metrics.means(_PERIOD)
    for key, quota in metrics.means(_QUOTA).items():
        if quota > 0 and periods.get(key, 0.0) > 0 and _is_named_alike(labels, key[1]):
            return quota / periods[key]
    for (_, theirs), limit in metrics.means(_KUBERNETES_LIMITS).items():
        if ("resource", "cpu") in theirs and limit > 0 and _is_named_alike(labels, theirs):
            return limit
    return None


def _stopped_share(metrics: _Metrics, labels: Labels) -> float:
    """Return the share of the periods in which a container used up its quota."""
    periods = metrics.rates(_PERIODS)
    for key, stopped in metrics.rates(_STOPPED_PERIODS).items():
        if _is_named_alike(labels, key[1]) and periods.get(key):
            return stopped / periods[key]
    return 0.0


def _machines(metrics: _Metrics) -> Iterator[ProcessorUse]:
    """Yield the use of each machine: all modes together are its processors."""
    for name, _ in metrics.matching(_USE[Scope.MACHINE]):
        every: dict[_Key, float] = defaultdict(float)
        busy: dict[_Key, float] = defaultdict(float)
        for (target, labels), series in metrics.by_name[name].items():
            if (rate := series.increase_per_second()) is None:
                continue
            key = target, tuple(each for each in labels if not _PART.fullmatch(each[0]))
            every[key] += rate
            busy[key] += 0.0 if any(value in _IDLE for _, value in labels) else rate
        for key, count in every.items():
            # Without its idle time the number of processors is unknown.
            if 0 < busy[key] < count:
                yield ProcessorUse(key[0], Scope.MACHINE, key[1], busy[key], count, "its processors")


def _is_same(one: Labels, other: Labels) -> bool:
    """Return whether two values of one target belong to one process: no label that tells processes apart differs."""
    ours, theirs = dict(one), dict(other)
    return all(ours[name] == theirs[name] for name in _IDENTITIES if name in ours and name in theirs)


def _is_named_alike(one: Labels, other: Labels) -> bool:
    """Return whether two values of any targets belong to one container: they name the same pod or container."""
    ours, theirs = dict(one), dict(other)
    common = [name for name in ("pod", "container", "name", "id") if ours.get(name) and theirs.get(name)]
    return bool(common) and all(ours[name] == theirs[name] for name in common)
