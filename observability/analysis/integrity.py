"""Are the traces whole?"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from observability.analysis.trees import Forest


@dataclass(frozen=True, slots=True)
class Integrity:
    """Counts over some traces; `whole` traces are one tree. `traces_by_root` counts them by their root's name."""

    traces: int
    whole: int
    without_root: int
    with_several_roots: int
    spans: int
    orphans: int
    duplicates: int
    traces_by_root: dict[str, int]


def check_integrity(forest: Forest) -> Integrity:
    """Count what is whole and what is not; a trace with several roots counts under its first root's name."""
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
    """Give the references, each once and sorted, that name nothing known: a log line's trace that was never written."""
    return tuple(sorted(set(references) - set(known)))
