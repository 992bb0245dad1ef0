"""Comparison of two ways to run the same code, neither with a bottleneck: latency and CPU time of paired runs."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from observability.analysis.comparison import Estimate, Pair, compare, mean_of
from observability.analysis.quantiles import quantile
from observability.analysis.whatif import QUANTILES
from observability.experiments.runner.artifacts import BlockRecord
from observability.experiments.runner.scoring import pairs_of

_MILLISECONDS = 1e3


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One metric on both sides, in seconds: of latency, or of processor time per order.

    ratio: after / before, with its 90 % interval over the pairs.
    difference: after - before, with its 90 % interval over the pairs.
    """

    name: str
    before: float
    after: float
    ratio: Estimate
    difference: Estimate

    def sentence(self) -> str:
        """Return the figures as a sentence, in milliseconds."""
        before, after = self.before * _MILLISECONDS, self.after * _MILLISECONDS
        value, low, high = (
            each * _MILLISECONDS for each in (self.difference.value, self.difference.low, self.difference.high)
        )
        ratio = f"{self.ratio.value:.2f} ({self.ratio.low:.2f}-{self.ratio.high:.2f})"
        return f"{self.name} {before:.1f} ms, {after:.1f} after: {value:+.1f} ms ({low:+.1f} to {high:+.1f}), x {ratio}"


@dataclass(frozen=True, slots=True)
class Measurement:
    """Quantiles of the latency, and the processor's time for an order."""

    latency: tuple[Compared, ...]
    cpu: Compared

    def sentence(self) -> str:
        """Return all figures in one line."""
        return "; ".join(each.sentence() for each in (*self.latency, self.cpu))


def measure(blocks: Sequence[BlockRecord]) -> Measurement:
    """Compare both sides of every pair. Raises ValueError when there is no pair."""
    pairs = pairs_of(blocks)
    return Measurement(
        latency=tuple(_latency(name, q, pairs) for name, q in QUANTILES.items()),
        cpu=_cpu(blocks),
    )


def _latency(name: str, q: float, pairs: Sequence[Pair]) -> Compared:
    before = [quantile(sorted(pair.before), q) for pair in pairs]
    after = [quantile(sorted(pair.after), q) for pair in pairs]
    return _compared(name, before, after, ratio=compare(pairs, q).ratio)


def _cpu(blocks: Sequence[BlockRecord]) -> Compared:
    """Compare the processor time per order of all processes together, including idle work."""
    before, after = (
        [each.block.cpu_seconds_an_order for each in sorted(blocks, key=lambda each: each.pair) if each.side == side]
        for side in ("before", "after")
    )
    pairs = [Pair((old,), (new,)) for old, new in zip(before, after, strict=True)]
    return _compared("processor an order", before, after, ratio=compare(pairs, QUANTILES["p50"]).ratio)


def _compared(name: str, before: Sequence[float], after: Sequence[float], *, ratio: Estimate) -> Compared:
    return Compared(
        name=name,
        before=statistics.fmean(before),
        after=statistics.fmean(after),
        ratio=ratio,
        difference=mean_of([new - old for old, new in zip(before, after, strict=True)]),
    )
