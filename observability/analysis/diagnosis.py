"""What is the bottleneck, if there is one? The suspect that explains most, unless something else holds its resource."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.comparison import clopper_pearson
from observability.analysis.detectors.blocking_call import unexplained_stillness
from observability.analysis.detectors.candidate import LEAST_SHARE, Candidate
from observability.analysis.detectors.registry import find_candidates
from observability.analysis.detectors.retries import retries_in_words
from observability.analysis.effects import Effect, effects_of
from observability.analysis.integrity import check_integrity
from observability.analysis.observation import Observation
from observability.analysis.requests import Request, rate_per_second, requests_of, whole_seconds
from observability.analysis.resources import database_seconds, utilisation
from observability.analysis.trees import Forest
from observability.analysis.whatif import Prediction, predict, unchanged

FEWEST_REQUESTS = 30
MOST_BROKEN = 0.20
# A fix is worth naming when even the low end of its predicted gain, in p95 or in goodput, is above this share.
LEAST_GAIN = 0.10
BUSY = 0.70
# Work that went on after its caller had given up is worth a word from this share of the requests' time on.
_WASTE_WORTH_A_WORD = 0.01
_NANOSECONDS = 1e9
# Of the database's time: what sessions wait for that is no lock is the machine's business below this share.
_HARMLESS_WAITS = frozenset({"CPU", "Client", "Activity", "IO", "LWLock", "IPC", "BufferPin", "Extension", "Timeout"})
# These are only where something else keeps them busy; what does has the name.
_RESOURCES = frozenset({Bottleneck.POOL, Bottleneck.CPU_BOUND, Bottleneck.BLOCKING_CALL})
# Where something has no time left, these are what waiting for it looks like.
_WAITING_FOR_ANYTHING = _RESOURCES | {Bottleneck.NETWORK_LATENCY, Bottleneck.UNBOUNDED_WAIT}


Judged = tuple[Candidate, Prediction]


class Answer(StrEnum):
    """The three answers."""

    FOUND = "found"
    NONE = "none"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was found: the class, the service and the operation, with what the fix is predicted to gain.

    `share` (0 to 1) is of the requests' time. `confidence` is high, medium or low; `reasons` say why nothing is named,
    or on what the name rests, and what was seen of retries and of an objective. `effects` are when the requests had
    taken effect elsewhere, which no answer waits for.
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

    def sentence(self) -> str:
        """Say it in a sentence."""
        match self.answer:
            case Answer.FOUND:
                where = f"{self.operation!r} of {self.service}" if self.operation else self.service
                return f"{self.bottleneck}: {where}{self._harm()} (confidence {self.confidence})"
            case Answer.NONE:
                return f"no bottleneck in {self.requests} requests (confidence {self.confidence})"
            case Answer.CANNOT_TELL:
                return f"cannot tell from {self.requests} requests"

    def _harm(self) -> str:
        if (told := self.prediction.goodput if self.prediction else None) is not None:
            return f"; {told.before.value:.1f} requests a second are answered well, and {told.after.value:.1f} could be"
        return f" takes {self.share:.0%} of the time of {self.requests} requests"


def diagnose(observation: Observation) -> Verdict:
    """Name the bottleneck of what was observed, or say that there is none, or why that cannot be told."""
    requests = requests_of(observation.traces)
    effects = effects_of(requests, (*observation.traces, *observation.later_traces))
    if why := _why_unfit(observation, requests):
        return Verdict(answer=Answer.CANNOT_TELL, reasons=why, requests=len(requests), effects=effects)
    verdict = _judge(observation, requests)
    reasons = dict.fromkeys((*verdict.reasons, *retries_in_words(requests), *_wasted(requests)))
    return replace(verdict, reasons=tuple(reasons), effects=effects)


def _judge(observation: Observation, requests: Sequence[Request]) -> Verdict:
    """Name what is worth it, if anything is."""
    busy = utilisation(observation)
    judged = [
        (suspect, _predict(suspect, observation, requests, busy)) for suspect in find_candidates(observation, requests)
    ]
    worth = [(suspect, told) for suspect, told in judged if _is_worth_it(told)]
    if not worth:
        return _nothing(observation, requests, busy)
    suspect, told = _choose(worth)
    others = tuple(
        f"{each.bottleneck} in {each.service} {each.operation}".strip() for each, _ in worth if each is not suspect
    )
    return Verdict(
        answer=Answer.FOUND,
        bottleneck=suspect.bottleneck,
        service=suspect.service,
        operation=suspect.operation,
        share=suspect.saving.total() / whole_seconds(requests),
        confidence=_confidence(told, others, observation),
        reasons=(*suspect.evidence, *_objective(observation)[1]),
        trace_ids=suspect.trace_ids,
        prediction=told,
        requests=len(requests),
        also=others,
    )


def _why_unfit(observation: Observation, requests: Sequence[Request]) -> tuple[str, ...]:
    whole = check_integrity(Forest(observation.traces, observation.duplicate_spans))
    why = []
    if len(requests) < FEWEST_REQUESTS:
        why.append(f"{len(requests)} whole requests of one operation were seen, and {FEWEST_REQUESTS} are needed")
    if whole.traces and 1 - whole.whole / whole.traces > MOST_BROKEN:
        why.append(
            f"{1 - whole.whole / whole.traces:.0%} of the traces lack spans, and a path through them means nothing"
        )
    return tuple(why)


def _is_worth_it(told: Prediction) -> bool:
    """Say whether a fix gains enough, at the low end; where it is about goodput the quantiles say nothing."""
    if told.goodput is not None:
        return told.goodput.ratio.low > 1 + LEAST_GAIN
    return told.gain_p95.low > LEAST_GAIN


def _predict(
    suspect: Candidate, observation: Observation, requests: Sequence[Request], busy: float | None
) -> Prediction:
    told = predict(
        [request.seconds for request in requests],
        suspect.saving,
        predictor=suspect.predictor,
        utilisation=busy,
        rate_per_second=rate_per_second(requests),
        latencies=observation.requests.latencies_seconds if observation.requests else (),
    )
    # What is said of goodput is not by the formula that has its pole where a processor has no time left.
    return replace(told, goodput=suspect.goodput, trusted=told.trusted or suspect.goodput is not None)


def _choose(worth: Sequence[Judged]) -> Judged:
    """Take what explains most; of a resource, what keeps it busy, if that explains half as much.

    Overload is a resource, too, whichever it is, and comes first: what waits for it explains as much, and is no cause.
    A wait that nobody ends is one for whatever it is that is slow. What need not be done at all comes before how it is
    done.
    """
    first = next((each for each in worth if each[0].bottleneck is Bottleneck.OVERLOAD), worth[0])
    first = next((each for each in worth if _makes_needless(each[0], first[0])), first)
    return next((other for other in worth if other is not first and _keeps_busy(other[0], first[0])), first)


def _makes_needless(other: Candidate, first: Candidate) -> bool:
    """Say whether what the first is about need not be done at all, since its result could be in a cache."""
    return other.bottleneck is Bottleneck.COLD_CACHE and _is_same_place(first, other)


def _keeps_busy(other: Candidate, first: Candidate) -> bool:
    """Say whether the second is only there since the first is, which explains half as much at least."""
    match first.bottleneck:
        case Bottleneck.OVERLOAD:
            holds = other.bottleneck not in _WAITING_FOR_ANYTHING
        case Bottleneck.UNBOUNDED_WAIT:
            holds = True
        case _:
            holds = first.bottleneck in _RESOURCES and other.bottleneck not in _RESOURCES
            holds = holds and other.service == first.service
    return holds and other.saving.total() >= first.saving.total() / 2


def _is_same_place(one: Candidate, other: Candidate) -> bool:
    return (one.service, one.operation) == (other.service, other.operation)


def _nothing(observation: Observation, requests: Sequence[Request], busy: float | None) -> Verdict:
    """Say that there is none, unless something is so busy, or waited for so long, that there must be."""
    whole = whole_seconds(requests)
    why = unexplained_stillness(observation, requests)
    if busy is not None and busy >= BUSY:
        why.append(f"the processor is {busy:.0%} busy, and no class of bottleneck explains it")
    for kind, waited in database_seconds(observation).items():
        if kind not in _HARMLESS_WAITS and waited.low >= LEAST_SHARE * whole:
            share = waited.value / whole
            why.append(f"the database waits {share:.0%} of the requests' time for {kind}, and no class explains it")
    met, promised = _objective(observation)
    if not met:
        why.extend(f"{each}, and no class of bottleneck explains it" for each in promised)
    if why:
        return Verdict(answer=Answer.CANNOT_TELL, reasons=tuple(why), requests=len(requests))
    durations = [request.seconds for request in requests]
    latencies = observation.requests.latencies_seconds if observation.requests else ()
    said = "no wait and no work of a known class takes a tenth of the requests' time, or its fix would gain less"
    return Verdict(
        answer=Answer.NONE,
        confidence="high" if busy is not None and observation.sessions else "medium",
        reasons=(
            said,
            "the processor's utilisation is unknown" if busy is None else f"the processor is {busy:.0%} busy",
            *promised,
        ),
        prediction=unchanged(durations, latencies),
        requests=len(requests),
    )


def _objective(observation: Observation) -> tuple[bool, tuple[str, ...]]:
    """Say whether clients may have got what they were promised, and in words; nothing where nothing was promised.

    It is broken where so few requests would be within the promise in one of forty observations of a system that keeps
    it, if they were independent; and in both halves, since one hiccup delays many.
    """
    seen = observation.requests
    if seen is None or seen.objective is None or not seen.latencies_seconds:
        return True, ()
    promised, latencies = seen.objective, seen.latencies_seconds
    count = len(latencies)
    within = promised.share_within(latencies)
    _, at_most = clopper_pearson(round(within * count), count)
    halves = (latencies[: count // 2] or latencies, latencies[count // 2 :])
    broken = at_most < promised.share and all(promised.share_within(half) < promised.share for half in halves)
    found = "broken" if broken else "met" if within >= promised.share else "missed, as chance may have it"
    took = f"{100 * within:.5g}% of {count} requests took at most {promised.seconds:g} s"
    return not broken, (f"the objective is {found}: {took}, and {100 * promised.share:.5g}% must",)


def _wasted(requests: Sequence[Request]) -> tuple[str, ...]:
    """Say how long what was called worked on after its caller had ended, where that is worth a word."""
    wasted = sum(request.wasted_nanoseconds for request in requests) / _NANOSECONDS
    if wasted < _WASTE_WORTH_A_WORD * whole_seconds(requests):
        return ()
    return (f"{wasted / len(requests) * 1e3:.1f} ms a request were worked for callers that had ended already",)


def _confidence(told: Prediction, others: Sequence[str], observation: Observation) -> str:
    """High where traces and metrics were there, the formula holds, and nothing else would do as well."""
    good = (told.trusted, not others, bool(observation.scrapes))
    return {3: "high", 2: "medium"}.get(sum(good), "low")
