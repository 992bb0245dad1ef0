"""Completeness of traces: counts of orphans, duplicates, and traces without exactly one root."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from observability.analysis.trees import Forest


@dataclass(frozen=True, slots=True)
class Integrity:
    """Counts over some traces.

    whole: traces that are one complete tree.
    without_root, with_several_roots: traces that are not, by reason.
    orphans: spans whose parent was not recorded.
    duplicates: spans that were dropped because they had been read before.
    traces_by_root: traces by the name of their first root, empty where there is none.
    """

    traces: int
    whole: int
    without_root: int
    with_several_roots: int
    spans: int
    orphans: int
    duplicates: int
    traces_by_root: dict[str, int]


def check_integrity(forest: Forest) -> Integrity:
    """Count complete and incomplete traces; a trace with several roots counts under the name of its first root."""
    traces = forest.traces
    names = Counter(trace.roots[0].span.name if trace.roots else "" for trace in traces)
    return Integrity(
        traces=len(traces),
        whole=sum(trace.whole for trace in traces),
        without_root=sum(not trace.roots for trace in traces),
        with_several_roots=sum(len(trace.roots) > 1 for trace in traces),
        spans=sum(trace.spans for trace in traces),
        orphans=sum(len(trace.orphans) for trace in traces),
        duplicates=forest.duplicates,
        traces_by_root=dict(sorted(names.items(), key=lambda item: (-item[1], item[0]))),
    )


def unresolved(references: Iterable[str], known: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct references, sorted, that are not known, as trace ids of log lines without a trace."""
    return tuple(sorted(set(references) - set(known)))
