"""Diagnosis: names the bottleneck of an observation, or says that there is none, or why it cannot tell."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import compress

from observability.analysis.baseline import compare_with
from observability.analysis.bottleneck import Bottleneck
from observability.analysis.comparison import Estimate
from observability.analysis.coverage import LEAST_SHARE as LEAST_COVERAGE
from observability.analysis.detectors.candidate import LEAST_SHARE, Candidate
from observability.analysis.detectors.registry import find_candidates
from observability.analysis.detectors.retries import retry_summaries
from observability.analysis.detectors.service_processors import on_full_processors
from observability.analysis.effects import effects_of
from observability.analysis.entries import MOST_BROKEN
from observability.analysis.error_verdict import with_errors
from observability.analysis.failures import find_failures
from observability.analysis.observation import Observation
from observability.analysis.precedence import Judged, choose, is_symptom_of, without_explained
from observability.analysis.processors import fullest, utilisation
from observability.analysis.readers.garbage import without_garbage_collection
from observability.analysis.requests import (
    FoundRequests,
    Request,
    find_requests,
    rate_per_second,
    services_on_paths,
    total_seconds,
)
from observability.analysis.slowdown import against_baseline
from observability.analysis.time_table import Place, TimeTable, share_of_time, time_table
from observability.analysis.unexplained import objective, reasons_against_none, standing_out
from observability.analysis.verdict import Answer, ClassShare, Verdict
from observability.analysis.whatif import Prediction, predict, unchanged

# So many requests are needed to say that there is no bottleneck, and for all that is said of errors and of a baseline.
FEWEST_REQUESTS = 30
# A bottleneck may be named from fewer, as in a sample of the traces, if so many requests waited for it. Were it in half
# of all requests only, all of five would have it by chance in 3 % of the samples.
FEWEST_WITH_BOTTLENECK = 5
# Where requests fail, a bottleneck is named when even the low end of its fix's gain in goodput is above this share.
LEAST_GAIN = 0.10
# Else it is named when it takes a tenth of all time (the detectors' LEAST_SHARE), of which half is beyond chance. The
# mean is judged, not a quantile: a fault in 5 % of the requests may take half of all time and leave p95 unchanged.
LEAST_SURE_SHARE = LEAST_SHARE / 2
# Work after its caller had ended is reported from this share of the requests' time on.
_REPORTED_WASTE_SHARE = 0.01
# Classes of which a full processor is no other explanation, but a part.
_OF_PROCESSORS = frozenset({Bottleneck.CPU_BOUND, Bottleneck.OVERLOAD})
_NANOSECONDS = 1e9


def diagnose(observation: Observation, baseline: Observation | None = None) -> Verdict:
    """Return the bottleneck of an observation, or that there is none, or why neither can be said.

    With a baseline, an observation of the same system when it was well, a slowdown has a place even without a class.
    """
    with without_garbage_collection():
        verdict = _verdict(observation, baseline)
    return replace(verdict, unread=observation.unread, coverage=observation.coverage)


def _verdict(observation: Observation, baseline: Observation | None) -> Verdict:
    found = find_requests(observation.traces)
    requests = found.requests
    table = time_table(requests)
    unfit = _reasons_unfit(observation, found)
    verdict = Verdict(answer=Answer.CANNOT_TELL, reasons=unfit) if unfit else _judge(observation, requests, table)
    said = () if unfit else (*retry_summaries(requests), *_wasted(requests))
    if not unfit and len(requests) >= FEWEST_REQUESTS:
        before = None if baseline is None else find_requests(baseline.traces).requests
        if before is not None:
            verdict = against_baseline(verdict, compare_with(before, requests))
        verdict = with_errors(verdict, find_failures(requests, before))
    return replace(
        verdict,
        reasons=tuple(dict.fromkeys((*verdict.reasons, *said, *found.reasons))),
        requests=len(requests),
        mean_seconds=total_seconds(requests) / len(requests) if requests else 0.0,
        effects=effects_of(requests, (*observation.traces, *observation.later_traces)),
        place=verdict.place or table.place(),
        time_table=table.rows,
    )


def _judge(observation: Observation, requests: Sequence[Request], table: TimeTable) -> Verdict:
    """Return the verdict on requests that are fit for a diagnosis."""
    busy = utilisation(observation)
    judged = [
        (candidate, _predict(candidate, observation, requests, busy))
        for candidate in without_explained(find_candidates(observation, requests))
    ]
    shares = [share_of_time(candidate.saving.by_request(), requests) for candidate, _ in judged]
    is_worth = [
        _is_worth_fixing(prediction, share) and (len(requests) >= FEWEST_REQUESTS or _shows_in_few(candidate, share))
        for (candidate, prediction), share in zip(judged, shares, strict=True)
    ]
    worth = list(compress(judged, is_worth))
    verdict = _found(observation, requests, worth, table) if worth else _no_bottleneck(observation, requests, table)
    return replace(
        verdict,
        classes=tuple(
            ClassShare(candidate.bottleneck, candidate.service, candidate.operation, share, worth_fixing)
            for (candidate, _), share, worth_fixing in zip(judged, shares, is_worth, strict=True)
        ),
        unexplained=_unexplained([candidate for candidate, _ in judged], requests),
    )


def _found(observation: Observation, requests: Sequence[Request], worth: Sequence[Judged], table: TimeTable) -> Verdict:
    candidate, prediction = choose(worth)
    if candidate.undecided:
        return Verdict(answer=Answer.CANNOT_TELL, reasons=(*candidate.evidence, candidate.undecided))
    beside = [each for each, _ in worth if each is not candidate and not is_symptom_of(each, candidate)]
    others = tuple(f"{each.bottleneck} in {each.service} {each.operation}".strip() for each in beside)
    share = share_of_time(candidate.saving.by_request(), requests)
    # Those that explain at least half as much.
    rivals = [each for each in beside if each.saving.total() >= candidate.saving.total() / 2]
    few = (_few(requests),) if len(requests) < FEWEST_REQUESTS else ()
    larger = tuple(
        f"even more, {row.share.value:.0%} of the time, goes to {row.name}; no known class of bottleneck explains that"
        for row in standing_out(table)
        if not candidate.is_asynchronous
        and row.share.value > share.value
        and all(row.service != each.service for each, _ in worth)
    )
    where = f"{candidate.operation} of {candidate.service}" if candidate.operation else candidate.service
    return Verdict(
        answer=Answer.FOUND,
        bottleneck=candidate.bottleneck,
        service=candidate.service,
        operation=candidate.operation,
        share=share.value,
        confidence=_confidence(
            share,
            (*rivals, *larger, *candidate.doubts, *few),
            is_measured=_is_measured(candidate, prediction, observation, requests),
        ),
        reasons=(*candidate.evidence, *candidate.doubts, *few, *larger, *objective(observation)[1]),
        trace_ids=candidate.trace_ids,
        prediction=prediction,
        also=others,
        mean_after_fix_seconds=None if candidate.goodput else _mean_after_fix(candidate, share, requests),
        place=Place(where, candidate.service, candidate.operation, share),
    )


def _mean_after_fix(candidate: Candidate, share: Estimate, requests: Sequence[Request]) -> Estimate:
    """Return the mean duration without the saved share; its interval combines sampling error and model error."""
    mean, model = total_seconds(requests) / len(requests), candidate.saving.model_error * share.value
    least = share.value - math.hypot(share.value - share.low, model)
    most = share.value + math.hypot(share.high - share.value, model)
    return Estimate(*(mean * max(0.0, 1 - each) for each in (share.value, most, least)))


def _unexplained(candidates: Sequence[Candidate], requests: Sequence[Request]) -> float:
    """Return the share of the time that no candidate accounts for; overlaps count once within a request."""
    explained = [0.0] * len(requests)
    for candidate in candidates:
        for number, seconds in enumerate(candidate.saving.by_request()):
            explained[number] += seconds
    left = sum(max(0.0, each.seconds - gone) for each, gone in zip(requests, explained, strict=True))
    return left / total_seconds(requests)


def _reasons_unfit(observation: Observation, found: FoundRequests) -> tuple[str, ...]:
    reasons = []
    if (coverage := observation.coverage) is not None and not coverage.is_enough:
        reasons.append(f"{coverage.sentence()}; at least {LEAST_COVERAGE:.0%} is needed")
    if len(found.requests) < FEWEST_WITH_BOTTLENECK:
        reasons.append(f"{_few(found.requests)}; {FEWEST_REQUESTS} are needed")
    if found.broken_share > MOST_BROKEN:
        reasons.append(
            f"{found.broken_share:.0%} of the traces lack spans, too many to judge: record every span, without sampling"
        )
    return tuple(reasons)


def _few(requests: Sequence[Request]) -> str:
    return f"{len(requests)} complete requests were recorded"


def _shows_in_few(candidate: Candidate, share: Estimate) -> bool:
    """Return whether a bottleneck is beyond chance in few requests: its whole tenth of the time, in enough of them."""
    waited = sum(seconds > 0 for seconds in candidate.saving.by_request())
    return candidate.goodput is None and share.low > LEAST_SHARE and waited >= FEWEST_WITH_BOTTLENECK


def _is_worth_fixing(prediction: Prediction, share: Estimate) -> bool:
    """Return whether a fix gains enough: in goodput where requests fail, else in the time of all requests."""
    if prediction.goodput is not None:
        return prediction.goodput.ratio.low > 1 + LEAST_GAIN
    return share.low > LEAST_SURE_SHARE


def _predict(
    candidate: Candidate, observation: Observation, requests: Sequence[Request], busy: float | None
) -> Prediction:
    prediction = predict(
        [request.seconds for request in requests],
        candidate.saving,
        predictor=candidate.predictor,
        utilisation=busy if candidate.utilisation is None else candidate.utilisation,
        rate_per_second=_arrival_rate(observation, requests),
        latencies=observation.requests.latencies_seconds if observation.requests else (),
    )
    # Goodput is not predicted with the formula for a shared processor, so it can be trusted at any utilisation.
    return replace(prediction, goodput=candidate.goodput, trusted=prediction.trusted or candidate.goodput is not None)


def _arrival_rate(observation: Observation, requests: Sequence[Request]) -> float | None:
    """Return the arrival rate, as it would be had the whole time window been read."""
    rate = rate_per_second(requests)
    return rate and rate / (observation.coverage.share if observation.coverage else 1.0)


def _no_bottleneck(observation: Observation, requests: Sequence[Request], table: TimeTable) -> Verdict:
    """Return that there is no bottleneck, or CANNOT_TELL when that is not known."""
    if len(requests) < FEWEST_REQUESTS:
        needed = f"{_few(requests)}, which show no bottleneck; {FEWEST_REQUESTS} are needed to say that there is none"
        return Verdict(answer=Answer.CANNOT_TELL, reasons=(needed,))
    if reasons := reasons_against_none(observation, requests, table):
        return Verdict(answer=Answer.CANNOT_TELL, reasons=reasons)
    durations = [request.seconds for request in requests]
    latencies = observation.requests.latencies_seconds if observation.requests else ()
    used = fullest(observation, services_on_paths(requests))
    return Verdict(
        answer=Answer.NONE,
        confidence="high" if used and observation.sessions else "medium",
        reasons=(
            "no known class of bottleneck takes a tenth of the requests' time, and nothing else stands out",
            used.sentence() if used else "the processor's utilisation is unknown",
            *objective(observation)[1],
        ),
        prediction=unchanged(durations, latencies),
    )


def _wasted(requests: Sequence[Request]) -> tuple[str, ...]:
    """Return a sentence about work after its caller had ended, where that is a hundredth of the requests' time."""
    wasted = sum(request.wasted_nanoseconds for request in requests) / _NANOSECONDS
    if wasted < _REPORTED_WASTE_SHARE * total_seconds(requests):
        return ()
    return (f"{wasted / len(requests) * 1e3:.1f} ms of work per request ran on after its caller had ended",)


def _confidence(share: Estimate, rivals: Sequence[object], *, is_measured: bool) -> str:
    """Return high if the share is clear, nothing rivals it or casts doubt on it, and metrics agree; else less."""
    is_clear = share.low >= 2 * LEAST_SHARE
    return {3: "high", 2: "medium"}.get(sum((is_clear, not rivals, is_measured)), "low")


def _is_measured(
    candidate: Candidate, prediction: Prediction, observation: Observation, requests: Sequence[Request]
) -> bool:
    """Return whether metrics were recorded that agree with the class.

    A processor so busy that everything on it waits could be the cause as well: that of the service, or the shared one.
    """
    if not (observation.scrapes or observation.processes):
        return False
    if candidate.measured:
        return True
    is_swamped = prediction.utilisation_before is not None and not prediction.trusted
    if candidate.bottleneck not in _OF_PROCESSORS:
        is_swamped = is_swamped or candidate.service in on_full_processors(observation, requests)
    return not is_swamped
