"""Diagnosis: names the bottleneck of an observation, or says that there is none, or why it cannot tell."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.comparison import clopper_pearson
from observability.analysis.coverage import LEAST_SHARE as LEAST_COVERAGE
from observability.analysis.coverage import Coverage
from observability.analysis.detectors.blocking_call import unexplained_stalls
from observability.analysis.detectors.candidate import LEAST_SHARE, Candidate
from observability.analysis.detectors.registry import find_candidates
from observability.analysis.detectors.retries import retry_summaries
from observability.analysis.effects import Effect, effects_of
from observability.analysis.integrity import check_integrity
from observability.analysis.observation import Observation
from observability.analysis.precedence import choose
from observability.analysis.processor_use import BUSY
from observability.analysis.processors import fullest, utilisation
from observability.analysis.readers.unread import Unread
from observability.analysis.requests import Request, rate_per_second, requests_of, services_on_paths, total_seconds
from observability.analysis.resources import database_seconds
from observability.analysis.trees import Forest
from observability.analysis.whatif import Prediction, predict, unchanged

FEWEST_REQUESTS = 30
MOST_BROKEN = 0.20
# A bottleneck is named when even the low end of its fix's predicted gain, in p95 or goodput, is above this share.
LEAST_GAIN = 0.10
# Work after its caller had ended is reported from this share of the requests' time on.
_REPORTED_WASTE_SHARE = 0.01
_NANOSECONDS = 1e9
# Kinds of database wait that say something about the machine and not about locks.
_HARMLESS_WAITS = frozenset({"CPU", "Client", "Activity", "IO", "LWLock", "IPC", "BufferPin", "Extension", "Timeout"})


class Answer(StrEnum):
    """The three possible answers of a diagnosis."""

    FOUND = "found"
    NONE = "none"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The result of a diagnosis.

    bottleneck: the class that was found, else None.
    service, operation: where it is; the operation is empty for a whole service.
    share: of the requests' time, 0 to 1, that the fix would save.
    confidence: high, medium or low.
    reasons: the evidence, or why no bottleneck is named; with findings about retries and the objective.
    trace_ids: of requests that show the bottleneck.
    prediction: the predicted effect of the fix.
    requests: number of requests that were analysed.
    also: other bottlenecks that are worth a fix.
    effects: time to effect at each consumer, for which no answer waits.
    unread: what could not be read, by file and reason.
    coverage: how much was read from a live store; None when the traces come from elsewhere.
    """

    answer: Answer
    bottleneck: Bottleneck | None = None
    service: str = ""
    operation: str = ""
    share: float = 0.0
    confidence: str = "low"
    reasons: tuple[str, ...] = ()
    trace_ids: tuple[str, ...] = ()
    prediction: Prediction | None = None
    requests: int = 0
    also: tuple[str, ...] = ()
    effects: tuple[Effect, ...] = ()
    unread: tuple[Unread, ...] = ()
    coverage: Coverage | None = None

    def sentence(self) -> str:
        """Return the verdict as one sentence."""
        match self.answer:
            case Answer.FOUND:
                where = f"{self.operation!r} of {self.service}" if self.operation else self.service
                return f"{self.bottleneck}: {where}{self._impact()} (confidence {self.confidence})"
            case Answer.NONE:
                return f"no bottleneck in {self.requests} requests (confidence {self.confidence})"
            case Answer.CANNOT_TELL:
                return f"cannot tell from {self.requests} requests"

    def _impact(self) -> str:
        if (goodput := self.prediction.goodput if self.prediction else None) is not None:
            before, after = goodput.before.value, goodput.after.value
            return f"; {before:.1f} requests a second get a useful answer, and {after:.1f} could"
        return f" takes {self.share:.0%} of the time of {self.requests} requests"


def diagnose(observation: Observation) -> Verdict:
    """Return the bottleneck of an observation, or that there is none, or why neither can be said."""
    return replace(_verdict(observation), unread=observation.unread, coverage=observation.coverage)


def _verdict(observation: Observation) -> Verdict:
    requests = requests_of(observation.traces)
    effects = effects_of(requests, (*observation.traces, *observation.later_traces))
    if unfit := _reasons_unfit(observation, requests):
        return Verdict(answer=Answer.CANNOT_TELL, reasons=unfit, requests=len(requests), effects=effects)
    verdict = _judge(observation, requests)
    reasons = dict.fromkeys((*verdict.reasons, *retry_summaries(requests), *_wasted(requests)))
    return replace(verdict, reasons=tuple(reasons), effects=effects)


def _judge(observation: Observation, requests: Sequence[Request]) -> Verdict:
    """Return the verdict on requests that are fit for a diagnosis."""
    busy = utilisation(observation)
    judged = [
        (candidate, _predict(candidate, observation, requests, busy))
        for candidate in find_candidates(observation, requests)
    ]
    worth = [(candidate, prediction) for candidate, prediction in judged if _is_worth_fixing(prediction)]
    if not worth:
        return _no_bottleneck(observation, requests)
    candidate, prediction = choose(worth)
    others = tuple(
        f"{each.bottleneck} in {each.service} {each.operation}".strip() for each, _ in worth if each is not candidate
    )
    return Verdict(
        answer=Answer.FOUND,
        bottleneck=candidate.bottleneck,
        service=candidate.service,
        operation=candidate.operation,
        share=candidate.saving.total() / total_seconds(requests),
        confidence=_confidence(prediction, others, observation),
        reasons=(*candidate.evidence, *_objective(observation)[1]),
        trace_ids=candidate.trace_ids,
        prediction=prediction,
        requests=len(requests),
        also=others,
    )


def _reasons_unfit(observation: Observation, requests: Sequence[Request]) -> tuple[str, ...]:
    whole = check_integrity(Forest(observation.traces, observation.duplicate_spans))
    reasons = []
    if (coverage := observation.coverage) is not None and not coverage.is_enough:
        reasons.append(f"{coverage.sentence()}; at least {LEAST_COVERAGE:.0%} is needed")
    if len(requests) < FEWEST_REQUESTS:
        reasons.append(
            f"{len(requests)} complete requests of one operation were recorded; {FEWEST_REQUESTS} are needed"
        )
    if whole.traces and 1 - whole.whole / whole.traces > MOST_BROKEN:
        reasons.append(
            f"{1 - whole.whole / whole.traces:.0%} of the traces lack spans, so that their critical paths are unknown"
        )
    return tuple(reasons)


def _is_worth_fixing(prediction: Prediction) -> bool:
    """Return whether the low end of the gain is large enough; for a change of goodput the quantiles do not count."""
    if prediction.goodput is not None:
        return prediction.goodput.ratio.low > 1 + LEAST_GAIN
    return prediction.gain_p95.low > LEAST_GAIN


def _predict(
    candidate: Candidate, observation: Observation, requests: Sequence[Request], busy: float | None
) -> Prediction:
    prediction = predict(
        [request.seconds for request in requests],
        candidate.saving,
        predictor=candidate.predictor,
        utilisation=busy,
        rate_per_second=_arrival_rate(observation, requests),
        latencies=observation.requests.latencies_seconds if observation.requests else (),
    )
    # Goodput is not predicted with the formula for a shared processor, so it can be trusted at any utilisation.
    return replace(prediction, goodput=candidate.goodput, trusted=prediction.trusted or candidate.goodput is not None)


def _arrival_rate(observation: Observation, requests: Sequence[Request]) -> float | None:
    """Return the arrival rate, as it would be had the whole time window been read."""
    rate = rate_per_second(requests)
    return rate and rate / (observation.coverage.share if observation.coverage else 1.0)


def _no_bottleneck(observation: Observation, requests: Sequence[Request]) -> Verdict:
    """Return that there is no bottleneck, or CANNOT_TELL when a busy resource or a long wait remains unexplained."""
    whole = total_seconds(requests)
    reasons = unexplained_stalls(observation, requests)
    used = fullest(observation, services_on_paths(requests))
    busy = used.fullness if used else None
    if used is not None and busy is not None and busy >= BUSY:
        reasons.append(
            f"the processor is {busy:.0%} busy, which no known class of bottleneck explains: {used.sentence()}"
        )
    for kind, waited in database_seconds(observation).items():
        if kind not in _HARMLESS_WAITS and waited.low >= LEAST_SHARE * whole:
            share = waited.value / whole
            reasons.append(
                f"database sessions wait for {kind} for {share:.0%} of the requests' time, "
                "which no known class of bottleneck explains"
            )
    met, promised = _objective(observation)
    if not met:
        reasons.extend(f"{each}, and no known class of bottleneck explains it" for each in promised)
    if reasons:
        return Verdict(answer=Answer.CANNOT_TELL, reasons=tuple(reasons), requests=len(requests))
    durations = [request.seconds for request in requests]
    latencies = observation.requests.latencies_seconds if observation.requests else ()
    not_found = "no known class of bottleneck takes a tenth of the requests' time and has a fix that would gain a tenth"
    return Verdict(
        answer=Answer.NONE,
        confidence="high" if busy is not None and observation.sessions else "medium",
        reasons=(
            not_found,
            used.sentence() if used else "the processor's utilisation is unknown",
            *promised,
        ),
        prediction=unchanged(durations, latencies),
        requests=len(requests),
    )


def _objective(observation: Observation) -> tuple[bool, tuple[str, ...]]:
    """Return whether the clients' objective may have been met, and a sentence about it; none without an objective.

    It is missed when the upper bound of the share of fast requests (Clopper-Pearson, 95 %) is below the objective, and
    in both halves of the observation the share is below it too: one short disturbance delays many requests.
    """
    seen = observation.requests
    if seen is None or seen.objective is None or not seen.latencies_seconds:
        return True, ()
    promised, latencies = seen.objective, seen.latencies_seconds
    count = len(latencies)
    within = promised.share_within(latencies)
    _, at_most = clopper_pearson(round(within * count), count)
    halves = (latencies[: count // 2] or latencies, latencies[count // 2 :])
    missed = at_most < promised.share and all(promised.share_within(half) < promised.share for half in halves)
    result = "missed" if missed else "met" if within >= promised.share else "missed, but within chance"
    share = f"{100 * within:.5g}% of {count} requests took at most {promised.seconds:g} s"
    return not missed, (f"the objective is {result}: {share}, target {100 * promised.share:.5g}%",)


def _wasted(requests: Sequence[Request]) -> tuple[str, ...]:
    """Return a sentence about work after its caller had ended, where that is a hundredth of the requests' time."""
    wasted = sum(request.wasted_nanoseconds for request in requests) / _NANOSECONDS
    if wasted < _REPORTED_WASTE_SHARE * total_seconds(requests):
        return ()
    return (f"{wasted / len(requests) * 1e3:.1f} ms of work per request ran on after its caller had ended",)


def _confidence(prediction: Prediction, others: Sequence[str], observation: Observation) -> str:
    """Return high when metrics were recorded, the formula holds and there is no other candidate; else medium or low."""
    good = (prediction.trusted, not others, bool(observation.scrapes))
    return {3: "high", 2: "medium"}.get(sum(good), "low")
