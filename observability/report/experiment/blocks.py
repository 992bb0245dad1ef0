"""Table of a trial's blocks: the valid ones and the invalid attempts, in the order in which they ran."""

from collections import Counter
from dataclasses import dataclass

from observability.analysis.quantiles import quantile
from observability.experiments.runner.artifacts import BlockRecord, Side
from observability.report.experiment.evidence import Evidence


@dataclass(frozen=True, slots=True)
class BlockRow:
    """One run of a block; quantiles are None without answers, and a run that does not count was repeated."""

    record: BlockRecord
    counts: bool
    requests: int
    p50_seconds: float | None
    p95_seconds: float | None
    utilisation: float
    invalid_because: str


def block_rows(evidence: Evidence) -> tuple[BlockRow, ...]:
    """Describe every run of a block in the folder."""
    place = {(each.pair, each.side): number for number, each in enumerate(evidence.blocks)}
    rows = [_row(run, counts=True) for run in evidence.blocks] + [_row(run, counts=False) for run in evidence.invalid]
    return tuple(
        sorted(rows, key=lambda row: (place[row.record.pair, row.record.side], row.counts, row.record.attempt))
    )


def answers(evidence: Evidence) -> tuple[tuple[str, int, int], ...]:
    """Return how orders ended, and how many did so before the fix and after it, the most frequent first."""
    counts: dict[Side, Counter[str]] = {"before": Counter(), "after": Counter()}
    for each in evidence.blocks:
        counts[each.side].update(each.block.answers)
    both = counts["before"] + counts["after"]
    return tuple((name, counts["before"][name], counts["after"][name]) for name, _ in both.most_common())


def _row(run: BlockRecord, *, counts: bool) -> BlockRow:
    ordered = sorted(run.block.latencies_seconds)
    return BlockRow(
        record=run,
        counts=counts,
        requests=len(ordered),
        p50_seconds=quantile(ordered, 0.50) if ordered else None,
        p95_seconds=quantile(ordered, 0.95) if ordered else None,
        utilisation=run.block.utilisation,
        invalid_because="; ".join(run.block.invalid_because),
    )
