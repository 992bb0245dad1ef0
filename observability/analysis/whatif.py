"""Prediction of a fix's effect: recomputes each request without the saved time, on a less utilised processor."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from math import factorial
from operator import itemgetter

from observability.analysis.comparison import Estimate, clopper_pearson
from observability.analysis.quantiles import quantile

# Above this utilisation the formulas for a queue do not hold: they have their pole at 1.
MOST_UTILISATION = 0.92
_RESAMPLES = 200
_MOST_DRAWN = 2_000
_SEED = 20_261
# Assumed relative error of the model, as a share of the predicted change.
_MODEL_ERROR = 0.20
# The same where requests wait for each other: for a lock, a worker or a connection. Fixes differ in how many more they
# let through at once. In three trials on foreign systems the change was off by 13, 24 and 61 % of what was predicted
# (root mean square 39 %); 90 % of normal errors are within 1.64 times that. docs/strangers.md says which trials.
QUEUE_MODEL_ERROR = 0.64
_TAILS_90 = (0.05, 0.95)
_LEAST_COUNT = 0.5


@dataclass(frozen=True, slots=True)
class Saving:
    """Time that a fix saves for each request, in seconds, in the order of the requests.

    work: time in which the shared processor was used.
    wait: time in which it was not.
    model_error: assumed relative error, as a share (0 to 1) of the predicted change.
    """

    work: tuple[float, ...]
    wait: tuple[float, ...]
    model_error: float = _MODEL_ERROR

    def total(self) -> float:
        """Return the total saving in seconds."""
        return sum(self.work) + sum(self.wait)

    def by_request(self) -> tuple[float, ...]:
        """Return the saving of each request in seconds."""
        return tuple(map(sum, zip(self.work, self.wait, strict=True)))


@dataclass(frozen=True, slots=True)
class Goodput:
    """Useful answers a second, before and after a fix, and their ratio after / before."""

    before: Estimate
    after: Estimate
    ratio: Estimate


@dataclass(frozen=True, slots=True)
class Prediction:
    """Predicted effect of a fix; latencies are in seconds, by quantile.

    predictor: how the saving was estimated.
    ratio: after / before of the same requests, more certain than either of the two.
    utilisation_before, utilisation_after: of the processor, 0 to 1; None when unknown.
    trusted: false when the utilisation is unknown or too high for the formula.
    goodput: set when the fix changes which requests succeed; the quantiles then compare different requests.
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
        """The share (0 to 1) of p95 that the fix removes."""
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

    The processor is shared, so that x seconds of work take x / (1 - utilisation) (M/G/1 processor sharing, Kleinrock
    1976): less work makes the rest faster too. The new utilisation follows from the `rate_per_second` of requests;
    without a rate, all work of the processor is attributed to these requests. `latencies` are the client's view of the
    same requests; their excess over the durations stays constant. The interval combines sampling error (bootstrap) and
    a model error of a fifth of the predicted change.
    """
    after_utilisation = _utilisation_after(durations, saving, utilisation, rate_per_second)
    speed = _speed(utilisation, after_utilisation)
    fixed = [
        max(0.0, (duration - work - wait) * speed)
        for duration, work, wait in zip(durations, saving.work, saving.wait, strict=True)
    ]
    count = len(durations)
    resampled = list(zip(_resampled_before(tuple(durations)), _resampled(fixed), strict=True))
    whole = sorted(durations), sorted(fixed)
    before, after, ratio = {}, {}, {}
    for number, (name, q) in enumerate(QUANTILES.items()):
        traced, left = (quantile(each, q) for each in whole)
        drawn = [(former[number], latter[number]) for former, latter in resampled]
        seen = quantile(sorted(latencies), q) if latencies else traced
        beyond = max(0.0, seen - traced)
        share = _share_left(traced, left, beyond)
        shares = [_share_left(*each, beyond) for each in drawn]
        estimate = _estimate(left, [each for _, each in drawn], count, saving.model_error * abs(traced - left))
        before[name] = seen
        after[name] = _as_clients_see(estimate, seen=seen, traced=traced)
        ratio[name] = _estimate(share, shares, count, saving.model_error * abs(1 - share))
    return Prediction(
        predictor=predictor,
        before=before,
        after=after,
        ratio=ratio,
        utilisation_before=utilisation,
        utilisation_after=after_utilisation,
        trusted=utilisation is not None and utilisation < MOST_UTILISATION,
    )


def changed_goodput(before: float, after: float, *, requests: int, seconds: float) -> Goodput:
    """Return goodput before and after a fix, in requests a second, from this number of requests in these seconds.

    The interval combines sampling error (Clopper-Pearson) and a model error of a fifth of the predicted change.
    A count of zero is taken as 0.5, so that the ratio is defined.
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
    """Return a rate with the interval of its share of all requests."""
    low, high = clopper_pearson(min(requests, round(per_second * seconds)), requests, confidence=0.90)
    return Estimate(per_second, min(per_second, low * requests / seconds), max(per_second, high * requests / seconds))


def stretch_of_queue(servers: float, utilisation: float) -> float:
    """Return the mean time in an M/M/c queue as a multiple of the work; with one server 1 / (1 - utilisation)."""
    count, utilisation = max(1, int(servers)), min(utilisation, MOST_UTILISATION)
    load = count * utilisation
    full = load**count / factorial(count) / (1 - utilisation)
    waits = full / (sum(load**number / factorial(number) for number in range(count)) + full)
    return 1 + waits / (count * (1 - utilisation))


def relative_wait(utilisation: float) -> float:
    """Return a queue's mean wait relative to the service time, up to a factor that depends on how much that varies."""
    utilisation = min(utilisation, MOST_UTILISATION)
    return utilisation / (1 - utilisation)


def unchanged(durations: Sequence[float], latencies: Sequence[float] = ()) -> Prediction:
    """Return the prediction that nothing changes."""
    nothing = (0.0,) * len(durations)
    return predict(durations, Saving(nothing, nothing), predictor="none", utilisation=None, latencies=latencies)


def _utilisation_after(
    durations: Sequence[float], saving: Saving, utilisation: float | None, rate_per_second: float | None
) -> float | None:
    """Return the utilisation without the saved work: x seconds of a request hold x (1 - utilisation) of work."""
    if utilisation is None:
        return None
    worked, work = sum(durations) - sum(saving.wait), sum(saving.work)
    if worked <= 0:
        return utilisation
    most = utilisation * min(1.0, work / worked)
    if rate_per_second is None:
        return utilisation - most
    idle = 1 - min(utilisation, MOST_UTILISATION)
    return utilisation - min(most, rate_per_second * work / len(durations) * idle)


def _speed(before: float | None, after: float | None) -> float:
    """Return the factor for the remaining time of a request."""
    if before is None or after is None:
        return 1.0
    return (1 - min(before, MOST_UTILISATION)) / (1 - min(after, MOST_UTILISATION))


def _as_clients_see(traced_after: Estimate, *, seen: float, traced: float) -> Estimate:
    """Add the client's excess over the traced time; where the client saw less, keep the proportion."""
    values = (traced_after.value, traced_after.low, traced_after.high)
    if seen >= traced:
        return Estimate(*(value + seen - traced for value in values))
    return Estimate(*(value * seen / traced for value in values))


def _resampled(values: Sequence[float]) -> list[tuple[float, ...]]:
    """Return the quantiles of the values in each of the resamples (bootstrap), in the order of `QUANTILES`."""
    found = []
    for drawn in _draws(len(values)):
        ordered = sorted(drawn(values))
        found.append(tuple(quantile(ordered, q) for q in QUANTILES.values()))
    return found


@lru_cache(maxsize=2)
def _resampled_before(durations: tuple[float, ...]) -> list[tuple[float, ...]]:
    """Return the same of what was recorded, which all candidates of a diagnosis have in common."""
    return _resampled(durations)


@lru_cache(maxsize=1)
def _draws(count: int) -> tuple[Callable[[Sequence[float]], tuple[float, ...]], ...]:
    """Return for each resample a function that draws its requests; of many requests only some are drawn."""
    source = random.Random(_SEED)  # noqa: S311  # bootstrap resampling, nothing secret
    size = min(count, _MOST_DRAWN)
    bits = count.bit_length()
    # As `randrange` draws, in a fifth of its time.
    numbers = filter(count.__gt__, iter(lambda: source.getrandbits(bits), None))
    # With one index an item getter returns no tuple.
    return tuple(itemgetter(*islice(numbers, size)) if size > 1 else tuple for _ in range(_RESAMPLES))


def _estimate(value: float, resampled: Sequence[float], count: int, model: float) -> Estimate:
    """Return a value with an interval of its sampling error, by its resamples, and its model error.

    The error of fewer requests than there are is larger, and scaled down.
    """
    drawn = sorted(resampled)
    scale = (min(count, _MOST_DRAWN) / count) ** 0.5 if count else 1.0
    low, high = (value + scale * (quantile(drawn, tail) - value) for tail in _TAILS_90)
    return Estimate(value, max(0.0, value - _root_sum(value - low, model)), value + _root_sum(high - value, model))


def _share_left(before: float, after: float, beyond: float) -> float:
    """Return after / before, with `beyond` seconds added to both."""
    return (after + beyond) / (before + beyond) if before + beyond > 0 else 1.0


def _root_sum(first: float, second: float) -> float:
    """Return the combined size of two independent errors."""
    return float((first**2 + second**2) ** 0.5)
