"""Consumer lag: a consumer that cannot keep up is told from one that is only late."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.detectors.candidate import Candidate
from observability.analysis.detectors.consumer_lag import find_consumer_lag
from observability.analysis.diagnosis import diagnose
from observability.analysis.observation import Observation, TimedScrape
from observability.analysis.openmetrics import Scrape
from observability.analysis.spans import Link, Span, SpanKind
from observability.analysis.trees import build_traces
from tests.unit.analysis.making import span
from tests.unit.analysis.seeing import busy, seen

SEEDS = range(12)
WORK_MILLISECONDS = 200.0

# Takes the times at which messages were sent, and yields when each was taken and done, all in milliseconds.
Consume = Callable[[list[float], random.Random], Iterator[tuple[float, float]]]


def observed(
    seed: int, *, per_second: float, consume: Consume, linked: bool = True, seconds: float = 20
) -> Observation:
    """Return requests that send a message each, at random times, and what a consumer made of them."""
    source = random.Random(seed)
    starts, at = [], 0.0
    while (at := at + source.expovariate(per_second) * 1e3) < seconds * 1e3:
        starts.append(at)
    spans: list[Span] = []
    sent = [start + 8 for start in starts]
    for number, (start, (taken, done)) in enumerate(zip(starts, consume(sent, source), strict=True)):
        trace = f"request {number}"
        root = span("root", start=start, end=start + 20, trace=trace, name="POST /things")
        message = span("send", "root", start=start + 7, end=start + 8, trace=trace, name="send things")
        spans += (replace(root, kind=SpanKind.SERVER), replace(message, kind=SpanKind.PRODUCER))
        if done <= seconds * 1e3:
            spans.append(consumer(number, taken, done, message, linked=linked))
    return replace(seen(processes=busy(0.2)), traces=build_traces(spans).traces)


def consumer(number: int, taken: float, done: float, message: Span, *, linked: bool) -> Span:
    """Return the consumer's span of one message, in a trace of its own with a link, or in that of the message."""
    made = span(f"consume {number}", start=taken, end=done, trace=f"consumed {number}", name="process things")
    made = replace(made, kind=SpanKind.CONSUMER, service="mailer")
    if linked:
        return replace(made, links=(Link(message.trace_id, message.span_id),))
    return replace(made, trace_id=message.trace_id, parent_span_id=message.span_id)


def one_by_one(sent: list[float], source: random.Random) -> Iterator[tuple[float, float]]:
    """Consume one message after the other."""
    free = 0.0
    for at in sent:
        taken = max(at, free) + 5
        free = taken + WORK_MILLISECONDS * source.uniform(0.8, 1.2)
        yield taken, free


def polling(sent: list[float], source: random.Random) -> Iterator[tuple[float, float]]:
    """Consume each message some seconds after it was sent, at the next poll."""
    for at in sent:
        taken = at + 3_000 + source.uniform(0, 1_000)
        yield taken, taken + 10


def nightly(sent: list[float], _source: random.Random) -> Iterator[tuple[float, float]]:
    """Consume all messages of ten seconds in one run, one after the other."""
    for number, at in enumerate(sent):
        taken = (at // 9_000 + 1) * 9_000 + number % 40
        yield taken, taken + 1


def held_up(sent: list[float], _source: random.Random) -> Iterator[tuple[float, float]]:
    """Consume at once what a slow relay delivers later and later."""
    for at in sent:
        yield at * 1.6 + 10, at * 1.6 + 15


def in_batches(sent: list[float], _source: random.Random) -> Iterator[tuple[float, float]]:
    """Consume ten messages at most in one span, each for as long as one by one."""
    free, number = 0.0, 0
    while number < len(sent):
        taken = max(sent[number], free) + 5
        batch = [at for at in sent[number : number + 10] if at <= taken]
        free = taken + WORK_MILLISECONDS * len(batch)
        for _ in batch:
            yield taken, free
        number += len(batch)


def found_in(observation: Observation) -> list[Candidate]:
    return find_consumer_lag(observation, ())


@pytest.mark.parametrize("consume", [one_by_one, in_batches])
def test_a_consumer_that_cannot_keep_up_is_found(consume: Consume) -> None:
    for seed in SEEDS:
        [candidate] = found_in(observed(seed, per_second=9, consume=consume))
        assert (candidate.service, candidate.operation) == ("mailer", "process things"), seed


def test_the_prediction_is_what_arrives_against_what_is_consumed() -> None:
    held = []
    for seed in SEEDS:
        [candidate] = found_in(observed(seed, per_second=10, consume=one_by_one))
        assert candidate.goodput is not None
        assert candidate.goodput.before.value == pytest.approx(5, rel=0.1)
        held.append(candidate.goodput.ratio.low <= 2.0 <= candidate.goodput.ratio.high)
    assert sum(held) >= 10


def test_a_consumer_below_its_message_needs_no_link() -> None:
    [candidate] = found_in(observed(1, per_second=9, consume=one_by_one, linked=False))
    assert candidate.service == "mailer"


@pytest.mark.parametrize("consume", [polling, nightly, held_up])
def test_a_consumer_that_is_only_late_is_not_found(consume: Consume) -> None:
    for seed in SEEDS:
        assert found_in(observed(seed, per_second=9, consume=consume)) == [], seed


def test_a_consumer_that_keeps_up_is_not_found() -> None:
    for seed in SEEDS:
        assert found_in(observed(seed, per_second=3, consume=one_by_one, seconds=40)) == [], seed


def test_a_lag_that_grows_is_the_verdict_where_requests_are_well() -> None:
    verdict = diagnose(observed(1, per_second=9, consume=one_by_one))
    assert verdict.bottleneck is Bottleneck.CONSUMER_LAG
    assert "messages a second arrive" in verdict.sentence()


def test_a_class_that_requests_wait_for_comes_first() -> None:
    """The lag is listed beside it."""
    observation = observed(1, per_second=9, consume=one_by_one)
    nodes = (node for trace in observation.traces for root in trace.roots for node in root.walk())
    spans = [slow for node in nodes for slow in _with_slow_statement(node.span)]
    verdict = diagnose(replace(observation, traces=build_traces(spans).traces))
    assert verdict.bottleneck is Bottleneck.SLOW_CALL
    assert verdict.also == ("consumer_lag in mailer process things",)


def _with_slow_statement(each: Span) -> Iterator[Span]:
    if each.name != "POST /things":
        yield each
        return
    start = each.start_nanoseconds + 8_500_000
    yield replace(each, end_nanoseconds=start + 60_000_000)
    yield replace(
        each,
        span_id="select",
        parent_span_id="root",
        name="SELECT things",
        kind=SpanKind.CLIENT,
        start_nanoseconds=start,
        end_nanoseconds=start + 55_000_000,
        attributes={"db.system.name": "postgresql"},
    )


def test_a_rising_backlog_metric_of_the_service_is_evidence() -> None:
    scrapes = [
        TimedScrape(float(second), target, Scrape({"app_queue_depth": {(): 10.0 * second}}, ()))
        for second in range(9)
        for target in ("mailer", "other")
    ]
    [candidate] = found_in(replace(observed(1, per_second=9, consume=one_by_one), scrapes=tuple(scrapes)))
    assert candidate.evidence[-1] == "the metric app_queue_depth rises from 0 to 80"
    assert len(candidate.evidence) == 4
