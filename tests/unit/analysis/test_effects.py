"""Time from a request until its messages were consumed, followed along span links and child spans."""

import random
from collections.abc import Iterable
from dataclasses import replace

import pytest

from observability.analysis.effects import Effect, effects_of
from observability.analysis.requests import Request, requests_of
from observability.analysis.spans import Link, Span, SpanKind
from observability.analysis.trees import Trace, build_traces
from tests.unit.analysis.making import span


def root(trace: str, start: float = 0, end: float = 10) -> Span:
    """Return a request; times in milliseconds."""
    return replace(span("root", start=start, end=end, trace=trace, name="POST /things"), kind=SpanKind.SERVER)


def sent(trace: str, span_id: str = "send", *, parent: str = "root", start: float = 4) -> Span:
    """Return a message that is sent, which takes a millisecond."""
    made = span(span_id, parent, start=start, end=start + 1, trace=trace, name="send things")
    return replace(made, kind=SpanKind.PRODUCER)


def consumed(trace: str, end: float, *links: Span, name: str = "process things", service: str = "read model") -> Span:
    """Return a batch that is consumed for five milliseconds, of the messages that it links to."""
    made = span("consume", start=end - 5, end=end, trace=trace, name=name)
    linked = tuple(Link(each.trace_id, each.span_id) for each in links)
    return replace(made, kind=SpanKind.CONSUMER, service=service, links=linked)


def effects(*spans: Span) -> tuple[Effect, ...]:
    requests, traces = read(spans)
    return effects_of(requests, traces)


def read(spans: Iterable[Span]) -> tuple[tuple[Request, ...], tuple[Trace, ...]]:
    traces = build_traces(spans).traces
    return requests_of(traces), traces


def test_the_lag_is_from_request_start_to_consumer_end() -> None:
    [effect] = effects(root("a", start=100, end=110), sent("a", start=104), consumed("c", 135, sent("a")))
    assert (effect.service, effect.operation, effect.requests) == ("read model", "process things", 1)
    assert effect.seconds_p50 == effect.seconds_p95 == pytest.approx(0.035)


def test_a_consumer_span_is_an_effect_of_each_linked_request() -> None:
    batch = consumed("c", 35, sent("a"), sent("b"))
    [effect] = effects(root("a"), sent("a"), root("b", start=20, end=30), sent("b", start=24), batch)
    assert (effect.requests, effect.unseen) == (2, 0)
    assert effect.seconds_p50 == pytest.approx((0.035 + 0.015) / 2)


def test_the_last_message_consumed_counts() -> None:
    first, second = sent("a", "one"), sent("a", "two")
    [effect] = effects(root("a"), first, second, consumed("d", 80, second), consumed("c", 35, first))
    assert (effect.requests, effect.seconds_p50) == (1, 0.08)


def test_each_consumer_has_a_time_of_its_own_the_longest_first() -> None:
    quick, slow = consumed("c", 35, sent("a")), consumed("d", 60, sent("a"), service="mail")
    assert [each.service for each in effects(root("a"), sent("a"), quick, slow)] == ["mail", "read model"]


def test_any_span_of_the_request_may_be_linked_to() -> None:
    assert effects(root("a"), consumed("c", 35, root("a")))


def test_a_consumer_below_the_request_needs_no_link() -> None:
    [effect] = effects(root("a"), sent("a"), replace(consumed("a", 35), parent_span_id="send"))
    assert effect.seconds_p50 == 0.035


def test_effects_follow_forwarded_messages() -> None:
    onward = sent("c", "onward", parent="consume", start=33)
    mail = consumed("d", 90, onward, name="mail", service="mail")
    found = effects(root("a"), sent("a"), consumed("c", 35, sent("a")), onward, mail)
    assert [(each.operation, each.seconds_p50) for each in found] == [("mail", 0.09), ("process things", 0.035)]


def test_a_linked_root_span_of_any_kind_is_an_effect() -> None:
    [effect] = effects(root("a"), sent("a"), replace(consumed("c", 35, sent("a")), kind=SpanKind.CLIENT))
    assert effect.requests == 1


def test_a_server_that_links_is_a_request_of_its_own() -> None:
    assert effects(root("a"), replace(consumed("c", 35, root("a")), kind=SpanKind.SERVER)) == ()


def test_a_linked_span_inside_another_request_is_no_effect() -> None:
    inside = replace(consumed("b", 9, root("a")), kind=SpanKind.INTERNAL, parent_span_id="root")
    assert effects(root("a"), root("b"), inside) == ()


def test_circular_links_terminate() -> None:
    first = consumed("c", 35, sent("a"), sent("d", "consume"))
    second = consumed("d", 60, sent("c", "consume"), name="onward")
    assert len(effects(root("a"), sent("a"), first, second)) == 2


def test_links_to_nothing_that_was_seen_lead_nowhere() -> None:
    assert effects(root("a"), consumed("c", 35, sent("lost"))) == ()


def test_a_request_without_effect_yet_is_unseen() -> None:
    [effect] = effects(root("a"), sent("a"), root("b"), sent("b"), consumed("c", 35, sent("a")))
    assert (effect.requests, effect.unseen) == (1, 1)


def test_a_clock_that_is_behind_makes_no_time_negative() -> None:
    [effect] = effects(root("a", start=100, end=110), consumed("c", 35, root("a")))
    assert effect.seconds_p50 == 0


def test_a_lag_is_reported_in_a_sentence() -> None:
    [effect] = effects(root("a"), sent("a"), consumed("c", 35, sent("a")))
    assert effect.sentence() == "time to effect: p50 35 ms, p95 35 ms at process things of read model (1)"
    slow = replace(effect, seconds_p95=61.25, grows=True)
    assert slow.sentence().endswith("p95 61.2 s at process things of read model (1), and it grows")


# --- Whether it grows -------------------------------------------------------------------------------------------------


def test_a_consumer_that_falls_behind_is_reported() -> None:
    assert _grows([20 + 5 * number for number in range(40)])


def test_a_lag_that_stays_the_same_does_not_grow_however_long() -> None:
    source = random.Random(5)
    assert not _grows([60_000 + source.uniform(-500, 500) for _ in range(200)])


def test_a_lag_that_rose_and_fell_again_does_not_grow() -> None:
    assert not _grows([*range(20, 120, 5), *range(120, 20, -5)])


def test_a_lag_that_rises_within_its_noise_does_not_grow() -> None:
    source = random.Random(5)
    assert not _grows([100 + number / 10 + source.uniform(-50, 50) for number in range(100)])


def test_a_lag_that_grows_because_answers_do_is_the_answers() -> None:
    spans: list[Span] = []
    for number in range(40):
        trace, start = f"r{number}", number * 1_000
        spans += [root(trace, start, start + 10 + number * 5), sent(trace, start=start)]
        spans.append(consumed(f"c{number}", start + 30 + number * 5, sent(trace)))
    [effect] = effects(*spans)
    assert not effect.grows


def test_few_requests_do_not_say() -> None:
    assert not _grows([20 + 5 * number for number in range(39)])


def _grows(lags_milliseconds: list[float]) -> bool:
    """Whether it does, by requests a second apart that took effect so long after their start."""
    spans: list[Span] = []
    for number, lag in enumerate(lags_milliseconds):
        trace, start = f"r{number}", number * 1_000
        spans += [root(trace, start, start + 10), consumed(f"c{number}", start + lag, root(trace))]
    [effect] = effects(*spans)
    return effect.grows
