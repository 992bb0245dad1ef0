"""What did each block show? Those that count, and the attempts that do not, in the order in which they ran."""

from dataclasses import dataclass

from observability.analysis.quantiles import quantile
from observability.lab.trial.records import BlockRecord
from observability.lab.trial.report.evidence import Evidence


@dataclass(frozen=True, slots=True)
class BlockRow:
    """One run of a block; quantiles are None where nothing was answered, and invalid ones say why."""

    record: BlockRecord
    requests: int
    p50_seconds: float | None
    p95_seconds: float | None
    utilisation: float
    invalid_because: str


def block_rows(evidence: Evidence) -> tuple[BlockRow, ...]:
    """Describe every run of a block that the folder tells of."""
    place = {(each.pair, each.side): number for number, each in enumerate(evidence.blocks)}
    runs = sorted((*evidence.blocks, *evidence.invalid), key=lambda run: (place[run.pair, run.side], run.attempt))
    return tuple(_row(run) for run in runs)


def _row(run: BlockRecord) -> BlockRow:
    ordered = sorted(run.block.latencies_seconds)
    return BlockRow(
        record=run,
        requests=len(ordered),
        p50_seconds=quantile(ordered, 0.50) if ordered else None,
        p95_seconds=quantile(ordered, 0.95) if ordered else None,
        utilisation=run.block.utilisation,
        invalid_because="; ".join(run.block.invalid_because),
    )
