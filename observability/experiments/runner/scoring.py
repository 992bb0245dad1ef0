"""Score of a trial: whether the diagnosis was right, and whether the fix gained what was predicted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from observability.analysis.comparison import Estimate, Pair, Ratio, compare, is_equivalent, pooled_quantile
from observability.analysis.quantiles import fewest_for
from observability.analysis.verdict import Answer, Verdict
from observability.analysis.whatif import QUANTILES
from observability.experiments.experiment import Experiment, ExperimentKind, Metric, Truth
from observability.experiments.runner.artifacts import BlockRecord, Side
from observability.experiments.runner.forecast import ForecastResult, result_of, times, widened
from observability.experiments.runner.goodput import LEAST_IMPACT, MeasuredGoodput, goodput_failures, measure_goodput

EQUIVALENCE_MARGIN = 0.05
HALF = 0.5
_SIDES: tuple[Side, Side] = ("before", "after")


@dataclass(frozen=True, slots=True)
class Forecast:
    """The prediction of one quantile after the fix, and its measurement.

    quantile: its name, as p95.
    ratio: after / before as it was sealed.
    measured_ratio: after / before of the pairs of blocks.
    predicted: the latency before the fix, in seconds, times the ratio; the interval takes in how the machine changed.
    actual_before, actual_after: the latency in the blocks, in seconds.
    result: whether the prediction held.
    error: predicted / actual - 1.
    error_if_same: the error of the trivial prediction that nothing changes.
    """

    quantile: str
    ratio: Estimate
    measured_ratio: Estimate
    predicted: Estimate
    actual_before: Estimate
    actual_after: Estimate
    result: ForecastResult
    error: float
    error_if_same: float


@dataclass(frozen=True, slots=True)
class FollowingVerdict:
    """The verdict on the platform with the fix, in a sentence; `wrong` says how it is wrong, and is empty if right."""

    said: str
    wrong: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The score of a trial.

    right: whether the diagnosis was right; why_wrong says how it was not.
    failed_because: what else the experiment did not show.
    ratio_p50, ratio_p95: after / before of the latency.
    forecasts: predictions of the quantiles; none when the experiment is about goodput.
    own_ratio: after / before of an optimised component's own time.
    equivalent: whether p95 is the same within 5 %.
    invalid_blocks: blocks that were invalid, repeated or not.
    goodput: the primary metric of an experiment about goodput.
    following: the verdict after the fix, where a smaller bottleneck is left then.
    """

    right: bool
    why_wrong: str
    failed_because: tuple[str, ...]
    ratio_p50: Ratio
    ratio_p95: Ratio
    forecasts: tuple[Forecast, ...]
    own_ratio: float | None
    equivalent: bool
    invalid_blocks: int
    goodput: MeasuredGoodput | None = None
    following: FollowingVerdict | None = None

    @property
    def primary(self) -> Ratio:
        """The ratio of p95, or of p50 where one of the sides has too few orders for p95."""
        fewest = min(self.ratio_p95.before_count, self.ratio_p95.after_count)
        return self.ratio_p95 if fewest >= fewest_for(self.ratio_p95.q) else self.ratio_p50

    @property
    def passed(self) -> bool:
        """Whether the diagnosis was right and the experiment showed everything it must."""
        return self.right and not self.failed_because


def score(
    experiment: Experiment,
    truth: Truth | None,
    verdict: Verdict,
    blocks: Sequence[BlockRecord],
    *,
    attempts: int,
    following: Verdict | None = None,
) -> Score:
    """Return the score of a trial from its blocks and the verdict after the fix, if there is one.

    `attempts` is the number of runs, including invalid ones.
    """
    pairs = pairs_of(blocks)
    ratio = compare(pairs, QUANTILES["p95"])
    own = own_ratio(blocks)
    wrong = why_wrong(truth, verdict)
    is_goodput, consumed = experiment.metric is Metric.GOODPUT, experiment.consumer is not None
    goodput = measure_goodput(verdict, blocks, consumed=consumed) if is_goodput else None
    smaller = truth.also if truth else None
    after_fix = FollowingVerdict(following.sentence(), why_wrong(smaller, following)) if following else None
    failed = failures(experiment, ratio, own) if goodput is None else goodput_failures(goodput)
    # The prediction is about the fix of the bottleneck, not about a wrong optimisation.
    of_latency = experiment.kind is not ExperimentKind.WRONG_OPTIMISATION and experiment.metric is Metric.LATENCY
    return Score(
        right=not wrong,
        why_wrong=wrong,
        failed_because=(*failed, *_next_not_named(after_fix)),
        ratio_p50=compare(pairs, QUANTILES["p50"]),
        ratio_p95=ratio,
        forecasts=tuple(forecasts(verdict, blocks)) if of_latency else (),
        own_ratio=own,
        equivalent=is_equivalent(ratio, margin=EQUIVALENCE_MARGIN),
        invalid_blocks=attempts - len(blocks) + sum(bool(each.block.invalid_because) for each in blocks),
        goodput=goodput,
        following=after_fix,
    )


def _next_not_named(following: FollowingVerdict | None) -> Iterator[str]:
    if following is not None and following.wrong:
        yield f"after the fix the diagnosis {following.wrong}"


def why_wrong(truth: Truth | None, verdict: Verdict) -> str:
    """Return how a verdict differs from the truth, empty when it does not."""
    if truth is None:
        return (
            "" if verdict.answer is Answer.NONE else f"said {verdict.answer} ({verdict.bottleneck}), and there is none"
        )
    if verdict.answer is not Answer.FOUND:
        return f"said {verdict.answer}, and it is {truth.bottleneck} in {truth.service}"
    if verdict.bottleneck is not truth.bottleneck:
        return f"named {verdict.bottleneck}, and it is {truth.bottleneck}"
    if verdict.service != truth.service or (truth.operation and verdict.operation != truth.operation):
        return f"placed it in {verdict.service} {verdict.operation!r}, and it is in {truth.service} {truth.operation!r}"
    if truth.also and not any(
        each.startswith(f"{truth.also.bottleneck} in {truth.also.service}") for each in verdict.also
    ):
        return f"did not list {truth.also.bottleneck} in {truth.also.service}, which is there too"
    return ""


def failures(experiment: Experiment, ratio: Ratio, own: float | None) -> list[str]:
    """Return what an experiment must show and did not."""
    failed = []
    if experiment.kind is ExperimentKind.BOTTLENECK and not 1 / ratio.ratio.high > LEAST_IMPACT:
        low = 1 / ratio.ratio.high
        failed.append(
            f"the bottleneck has no clear effect: p95 grows by at least {low:.2f} times, and must by {LEAST_IMPACT}"
        )
    if experiment.kind is ExperimentKind.WRONG_OPTIMISATION:
        if own is None or own > HALF:
            failed.append("the optimised component's own time did not fall by half")
        if not is_equivalent(ratio, margin=EQUIVALENCE_MARGIN):
            bounds = f"{ratio.ratio.low:.3f}-{ratio.ratio.high:.3f}"
            failed.append(f"p95 is not shown to be the same within 5 %: its ratio is {bounds}")
    return failed


def forecasts(verdict: Verdict, blocks: Sequence[BlockRecord]) -> list[Forecast]:
    """Return prediction and measurement of each quantile for which both sides have enough orders."""
    if verdict.prediction is None:
        return []
    latencies = {side: [each.block.latencies_seconds for each in blocks if each.side == side] for side in _SIDES}
    fewest = min(sum(map(len, of_side)) for of_side in latencies.values())
    pairs = pairs_of(blocks)
    found = []
    for name, q in QUANTILES.items():
        if fewest < fewest_for(q):
            continue
        before, after = (pooled_quantile(latencies[side], q) for side in _SIDES)
        sealed, measured = verdict.prediction.ratio[name], compare(pairs, q).ratio
        within = widened(sealed, measured, drift=before.value / verdict.prediction.before[name])
        predicted = times(before.value, within)
        found.append(
            Forecast(
                quantile=name,
                ratio=sealed,
                measured_ratio=measured,
                predicted=predicted,
                actual_before=before,
                actual_after=after,
                result=result_of(sealed, within, measured),
                error=predicted.value / after.value - 1,
                error_if_same=before.value / after.value - 1,
            )
        )
    return found


def pairs_of(blocks: Sequence[BlockRecord]) -> list[Pair]:
    """Return the latencies of the two blocks of each complete pair."""
    by_pair: dict[int, dict[str, BlockRecord]] = {}
    for record in blocks:
        by_pair.setdefault(record.pair, {})[record.side] = record
    return [
        Pair(both["before"].block.latencies_seconds, both["after"].block.latencies_seconds)
        for _, both in sorted(by_pair.items())
        if len(both) == 2
    ]


def own_ratio(blocks: Sequence[BlockRecord]) -> float | None:
    """Return after / before of the optimised component's own time, from the medians of the blocks; None without one."""
    seconds = {
        side: sorted(each.block.own_seconds for each in blocks if each.side == side and each.block.own_seconds)
        for side in ("before", "after")
    }
    if not all(seconds.values()):
        return None
    before, after = (values[len(values) // 2] for values in seconds.values())
    return after / before
