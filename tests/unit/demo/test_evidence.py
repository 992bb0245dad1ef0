"""Checks of a demo's traces: they pass on a complete run, and fail when spans are missing or repeated."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from observability.analysis.spans import SpanStatus
from observability.analysis.trees import build_traces
from observability.demo.checks import check_traces
from observability.demo.notification_latency import Notified, effects_of, notifications
from observability.demo.waterfalls import choose_waterfalls
from tests.unit.load.records import record
from tests.unit.load.shop_spans import MILLISECOND, ORDER, PLACING, Run, one_order, span


def broken(run: Run, folder: Path) -> str:
    """Return the sentences of the failed checks."""
    return "; ".join(check.sentence for check in check_traces(run.recorded(folder)).broken)


@pytest.mark.parametrize("finished_by_its_request", [True, False])
def test_a_whole_run_is_called_whole(finished_by_its_request: bool, tmp_path: Path) -> None:
    assert broken(one_order(finished_by_its_request=finished_by_its_request), tmp_path) == ""


def test_an_order_rejected_by_admission_has_no_trace(tmp_path: Path) -> None:
    """And is no excuse for one that is missing."""
    run = replace(one_order(), turned_away=2)
    assert broken(run, tmp_path) == ""
    assert "3 orders reached the edge, 2 of which were rejected at admission; 0 traces" in broken(
        run.without("POST /orders"), tmp_path
    )


def test_a_wait_outside_of_all_spans_is_reported(tmp_path: Path) -> None:
    """The client waited 10 ms, and the edge measured 8 of them."""
    sentences = [check.sentence for check in check_traces(one_order().recorded(tmp_path)).checks]
    (said,) = (sentence for sentence in sentences if "ms on average at the client" in sentence)
    assert "took 10.0 ms" in said
    assert "8.0 ms at the edge; the 2.0 ms between them are in no span" in said


def unfinished(run: Run) -> Run:
    return replace(run, progress=replace(run.progress, unfinished=1, unpublished=2, projected=1, notified=0))


def taken_twice(run: Run) -> Run:
    again = [replace(each, trace_id="7" * 32) for each in run.spans if each.name == "process shop.orders"]
    return replace(run, spans=[*run.spans, again[0]])


def failed_at_first(run: Run) -> Run:
    """Check that a failed batch counts no message, and its repeat does."""
    failed = [
        replace(each, trace_id="7" * 32, status=SpanStatus.ERROR)
        for each in run.spans
        if each.name == "process shop.orders"
    ]
    return replace(run, spans=[*run.spans, failed[0]])


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda run: run.without("POST /orders"), "1 orders reached the edge; 0 traces begin with POST /orders"),
        (lambda run: run.without("send shop.orders"), "2 events are stored, 2 without a span"),
        (lambda run: run.without("send shop.orders"), "name a span that was not written"),
        (lambda run: run.without("process shop.orders"), "2 events are stored, 0 without a span; none was consumed"),
        (taken_twice, "order_summaries consumed 4"),
        (lambda run: run.without("notification.send_confirmation"), "1 orders were completed; 0 confirmations were"),
        (lambda run: replace(run, confirmation_files=2), "2 are in the folder"),
        (lambda run: replace(run, inside_seconds=0.02), "20.0 ms at the edge; the -10.0 ms between"),
        (lambda run: replace(run, spans=[*run.spans, span("8" * 32, "8", "sweep")]), "and 1 with anything else"),
        (
            unfinished,
            (
                "0 s after the last answer 1 orders had no final state, 2 events were not published, 1 not in"
                " the read model, and 1 customers not notified"
            ),
        ),
    ],
)
def test_broken_traces_are_named(damage: Callable[[Run], Run], complaint: str, tmp_path: Path) -> None:
    assert complaint in broken(damage(one_order()), tmp_path)


def test_a_batch_that_failed_and_was_repeated_is_no_complaint(tmp_path: Path) -> None:
    assert broken(failed_at_first(one_order()), tmp_path) == ""


@pytest.mark.parametrize("finished_by_its_request", [True, False])
def test_a_confirmation_is_followed_back_to_the_placing(finished_by_its_request: bool) -> None:
    forest = build_traces(one_order(finished_by_its_request=finished_by_its_request).spans)
    assert notifications(forest) == (Notified(0, 20 * MILLISECOND, 50 * MILLISECOND),)


def test_time_to_effect_counts_from_placing_and_completion() -> None:
    effects = effects_of(notifications(build_traces(one_order().spans)) * 6)
    found = {effect.name: (effect.count, effect.quantiles[-1].seconds) for effect in effects}
    assert found == {"placed to notified": (6, 0.05), "completed to notified": (6, 0.03)}


def test_orders_of_the_capacity_probe_are_not_of_the_load() -> None:
    """The one order is placed at the epoch."""
    forest = build_traces(one_order().spans)
    assert len(notifications(forest, since_unix_seconds=0.0)) == 1
    assert notifications(forest, since_unix_seconds=0.001) == ()


def test_a_sending_that_failed_is_no_notification() -> None:
    spans = [
        replace(each, attributes={"error.type": "TimeoutError"}) if each.name.startswith("notification") else each
        for each in one_order().spans
    ]
    assert notifications(build_traces(spans)) == ()
    assert effects_of(()) == ()


def test_the_waterfall_shows_what_the_customer_waited_for() -> None:
    """The trace of its confirmation names the same order."""
    traces = build_traces(one_order().spans).traces
    typical, _ = choose_waterfalls(traces, [replace(record(), order_id=ORDER)])
    assert typical.trace_id == PLACING
