"""What would a fix gain? Each request again, without what the fix takes away, on a processor that is less busy then."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from observability.analysis.comparison import Estimate, clopper_pearson
from observability.analysis.quantiles import quantile

# Beyond it the formula for a shared processor is of no use: it has its pole at 1.
_MOST_UTILISATION = 0.92
_RESAMPLES = 200
_SEED = 20_261
# How far the model itself may be off, as a share of what it takes away.
_MODEL_ERROR = 0.20
_TAILS_90 = (0.05, 0.95)
_LEAST_COUNT = 0.5


@dataclass(frozen=True, slots=True)
class Saving:
    """What a fix takes from each request, in seconds, in the order of the requests.

    `work` is time in which something was done on the processor that all share, `wait` time in which nothing was.
    """

    work: tuple[float, ...]
    wait: tuple[float, ...]

    def total(self) -> float:
        """Add up all of it."""
        return sum(self.work) + sum(self.wait)


@dataclass(frozen=True, slots=True)
class Goodput:
    """How many requests a second are of use to whoever asks, before and after, and after / before."""

    before: Estimate
    after: Estimate
    ratio: Estimate


@dataclass(frozen=True, slots=True)
class Prediction:
    """Latency in seconds before and after, by quantile, and how it was come by.

    `ratio` is after / before of the same requests, which is surer than either of the two. `trusted` is false where
    the formula is used beyond where it holds, or without knowing how busy the processor is. `goodput` is there where
    the fix is about that: then the quantiles say little, since they are of other requests before and after.
    """

    predictor: str
    before: dict[str, float]
    after: dict[str, Estimate]
    ratio: dict[str, Estimate]
    utilisation_before: float | None
    utilisation_after: float | None
    trusted: bool
    goodput: Goodput | None = None

    @property
    def gain_p95(self) -> Estimate:
        """The share of p95 that goes away."""
        left = self.ratio["p95"]
        return Estimate(1 - left.value, 1 - left.high, 1 - left.low)


QUANTILES = {"p50": 0.50, "p95": 0.95}


def predict(
    durations: Sequence[float],
    saving: Saving,
    *,
    predictor: str,
    utilisation: float | None,
    rate_per_second: float | None = None,
    latencies: Sequence[float] = (),
) -> Prediction:
    """Predict the latencies after a fix from requests that took these `durations` in seconds.

    The processor is shared by all who want it, so that x seconds of work take x / (1 - utilisation) (M/G/1 processor
    sharing, Kleinrock 1976): less work makes the rest faster too. How much less busy it is then follows from the
    `rate_per_second` of requests; without it, all that the processor did is taken for these requests' own work.
    `latencies` are what clients saw of the same requests; what they saw beyond the durations stays as it is. The
    interval has two parts: other requests might have come (bootstrap), and the model may be wrong by a fifth of what it
    takes away.
    """
    after_utilisation = _utilisation_after(durations, saving, utilisation, rate_per_second)
    speed = _speed(utilisation, after_utilisation)
    fixed = [
        max(0.0, (duration - work - wait) * speed)
        for duration, work, wait in zip(durations, saving.work, saving.wait, strict=True)
    ]
    before, after, ratio = {}, {}, {}
    for name, q in QUANTILES.items():
        traced = quantile(sorted(durations), q)
        seen = quantile(sorted(latencies), q) if latencies else traced
        before[name] = seen
        after[name] = _as_clients_see(_estimate(durations, fixed, q), seen=seen, traced=traced)
        ratio[name] = _ratio(durations, fixed, q, beyond=max(0.0, seen - traced))
    return Prediction(
        predictor=predictor,
        before=before,
        after=after,
        ratio=ratio,
        utilisation_before=utilisation,
        utilisation_after=after_utilisation,
        trusted=utilisation is not None and utilisation < _MOST_UTILISATION,
    )


def changed_goodput(before: float, after: float, *, requests: int, seconds: float) -> Goodput:
    """Give a goodput that changes, from requests a second that were counted among so many in so many seconds.

    Others of as many might have been of use (Clopper-Pearson), and the model may be off by a fifth of what it changes.
    Where none was, half a one is taken for it, so that there is a ratio.
    """
    least = _LEAST_COUNT / seconds
    old, new = _counted(max(before, least), requests, seconds), _counted(after, requests, seconds)
    model = _MODEL_ERROR * abs(after - before)
    low = max(0.0, after - _root_sum(after - new.low, model))
    high = min(requests / seconds, after + _root_sum(new.high - after, model))
    ratio = after / old.value
    return Goodput(
        before=old,
        after=Estimate(after, low, high),
        ratio=Estimate(
            ratio,
            ratio - _root_sum(ratio - low / old.value, ratio - after / old.high),
            ratio + _root_sum(high / old.value - ratio, after / max(old.low, least) - ratio),
        ),
    )


def _counted(per_second: float, requests: int, seconds: float) -> Estimate:
    """Give a rate with its interval, as a share of the requests that there were."""
    low, high = clopper_pearson(min(requests, round(per_second * seconds)), requests, confidence=0.90)
    return Estimate(per_second, min(per_second, low * requests / seconds), max(per_second, high * requests / seconds))


def unchanged(durations: Sequence[float], latencies: Sequence[float] = ()) -> Prediction:
    """Predict that all stays as it is."""
    nothing = (0.0,) * len(durations)
    return predict(durations, Saving(nothing, nothing), predictor="none", utilisation=None, latencies=latencies)


def _utilisation_after(
    durations: Sequence[float], saving: Saving, utilisation: float | None, rate_per_second: float | None
) -> float | None:
    """Take the work from the processor: what took x seconds of a request was x (1 - utilisation) seconds of work."""
    if utilisation is None:
        return None
    worked, work = sum(durations) - sum(saving.wait), sum(saving.work)
    if worked <= 0:
        return utilisation
    most = utilisation * min(1.0, work / worked)
    if rate_per_second is None:
        return utilisation - most
    idle = 1 - min(utilisation, _MOST_UTILISATION)
    return utilisation - min(most, rate_per_second * work / len(durations) * idle)


def _speed(before: float | None, after: float | None) -> float:
    """Give by what the rest of the time is multiplied."""
    if before is None or after is None:
        return 1.0
    return (1 - min(before, _MOST_UTILISATION)) / (1 - min(after, _MOST_UTILISATION))


def _as_clients_see(traced_after: Estimate, *, seen: float, traced: float) -> Estimate:
    """Add what clients see beyond the traces; where they see less, of other requests, keep the proportion."""
    values = (traced_after.value, traced_after.low, traced_after.high)
    if seen >= traced:
        return Estimate(*(value + seen - traced for value in values))
    return Estimate(*(value * seen / traced for value in values))


def _estimate(durations: Sequence[float], fixed: Sequence[float], q: float) -> Estimate:
    """Give the quantile after the fix."""
    ordered = sorted(durations)
    return _resampled(
        lambda drawn: quantile(sorted(fixed[number] for number in drawn), q),
        count=len(fixed),
        taken_away=lambda value: quantile(ordered, q) - value,
    )


def _ratio(durations: Sequence[float], fixed: Sequence[float], q: float, *, beyond: float) -> Estimate:
    """Give after / before of the same requests; `beyond` is in both, in seconds."""
    return _resampled(
        lambda drawn: _share_left(durations, fixed, drawn, q, beyond),
        count=len(fixed),
        taken_away=lambda value: 1 - value,
    )


def _resampled(
    figure: Callable[[Sequence[int]], float], *, count: int, taken_away: Callable[[float], float]
) -> Estimate:
    """Give a figure of requests with its interval: others might have come, and the model be off."""
    source = random.Random(_SEED)  # noqa: S311  # which requests are drawn again, nothing secret
    value = figure(range(count))
    drawn = sorted(figure([source.randrange(count) for _ in range(count)]) for _ in range(_RESAMPLES))
    low, high = (quantile(drawn, tail) for tail in _TAILS_90)
    model = _MODEL_ERROR * abs(taken_away(value))
    return Estimate(value, max(0.0, value - _root_sum(value - low, model)), value + _root_sum(high - value, model))


def _share_left(
    durations: Sequence[float], fixed: Sequence[float], drawn: Sequence[int], q: float, beyond: float
) -> float:
    before = quantile(sorted(durations[number] for number in drawn), q) + beyond
    after = quantile(sorted(fixed[number] for number in drawn), q) + beyond
    return after / before if before > 0 else 1.0


def _root_sum(first: float, second: float) -> float:
    """Add two independent errors."""
    return float((first**2 + second**2) ** 0.5)
