"""Operations that fail or vanish: where failures begin, and what is no failure."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.diagnosis import diagnose
from observability.analysis.failures import Failure, FailureKind, find_failures
from observability.analysis.observation import Observation
from observability.analysis.spans import Attribute, SpanStatus
from observability.analysis.trees import Node
from observability.analysis.verdict import Answer
from tests.unit.analysis.seeing import busy, call, queries, query, requests_in, seen, serve, step

COUNT = 100


def failing(node: Node, **attributes: Attribute) -> Node:
    """Return the same span with an error, and attributes whose names have dots for `__`."""
    named = {name.replace("__", "."): value for name, value in attributes.items()}
    span = replace(node.span, status=SpanStatus.ERROR, attributes={**node.span.attributes, **named})
    return Node(span, node.children)


def paid(number: int, *, fails: bool = False) -> Node:
    """Return a payment whose statement in the bank fails, and with it all that wait for it."""
    at = 100.0 * number
    wrong = failing if fails else lambda node, **_: node
    statement = wrong(query("UPDATE account", at + 3, at + 5, service="bank"), error__type="DeadlockDetected")
    charged = wrong(serve("charge", at + 1.1, at + 6.9, statement, service="bank"))
    asked = wrong(call("charge", at + 1, at + 7, charged))
    return wrong(serve("POST /pay", at, at + 10, asked), http__response__status_code=500)


def payments(failures: int, count: int = COUNT) -> list[Node]:
    return [paid(number, fails=number < failures) for number in range(count)]


def failures_of(now: Sequence[Node], before: Sequence[Node] = ()) -> tuple[Failure, ...]:
    return find_failures(requests_in(seen(*now)), requests_in(seen(*before)) if before else None)


def at_work(*roots: Node) -> Observation:
    return seen(*roots, processes=busy(0.3))


# --- Operations that fail ---------------------------------------------------------------------------------------------


def test_a_failure_is_named_where_it_begins() -> None:
    [failure] = failures_of(payments(20))
    assert (failure.kind, failure.service, failure.operation) == (FailureKind.FAILING, "bank", "UPDATE account")
    assert (failure.share.value, failure.error) == (0.2, "DeadlockDetected")
    assert failure.trace_ids == ("trace 0", "trace 1", "trace 2")
    assert failure.sentence() == (
        "20.0% (12.7-29.2%) of the requests fail; the failures begin in UPDATE account of bank with DeadlockDetected"
    )


def test_the_call_that_ended_last_is_the_one_that_was_not_borne() -> None:
    """The first failed as well, and was tried again."""
    roots = [
        failing(
            serve(
                "POST /pay",
                at,
                at + 10,
                failing(call("charge", at + 1, at + 3)),
                failing(call("refund", at + 4, at + 9)),
            )
        )
        for at in range(0, COUNT * 100, 100)
    ]
    [failure] = failures_of(roots)
    assert failure.operation == "refund"


@pytest.mark.parametrize(
    ("why", "roots"),
    [
        ("few fail", payments(5)),
        (
            "a failed attempt was repeated",
            [serve("GET /", at, at + 9, failing(call("ask", at, at + 1))) for at in range(0, 900, 9)],
        ),
        (
            "the answer is valid",
            [failing(serve("GET /", at, at + 9), http__response__status_code=404) for at in range(0, 900, 9)],
        ),
    ],
)
def test_no_failure_where(why: str, roots: list[Node]) -> None:
    assert failures_of(roots) == (), why


def test_what_failed_as_often_before_is_not_named() -> None:
    assert failures_of(payments(20), payments(15)) == ()


def test_with_a_baseline_few_failures_are_enough() -> None:
    [failure] = failures_of(payments(12, count=400), payments(0, count=400))
    assert failure.before is not None
    assert (failure.share.value, failure.before.value) == (0.03, 0)


# --- Operations that vanished -----------------------------------------------------------------------------------------


def orders(*called: str, count: int = COUNT) -> list[Node]:
    """Return requests that call these operations, each of which sends a statement."""
    return [
        serve(
            "POST /orders",
            at,
            at + 50,
            *(
                step(
                    name,
                    at + 1 + 9 * place,
                    at + 9 + 9 * place,
                    query(f"INSERT {name}", at + 2 + 9 * place, at + 5 + 9 * place),
                )
                for place, name in enumerate(called)
            ),
        )
        for at in range(0, count * 100, 100)
    ]


def test_an_operation_that_is_no_longer_called_has_vanished() -> None:
    """What it called has vanished with it."""
    [failure] = failures_of(orders("reserve"), orders("reserve", "notify"))
    assert (failure.kind, failure.service, failure.operation) == (FailureKind.VANISHED, "shop", "notify")
    assert failure.sentence() == "0.0% of the requests (100.0% in the baseline) call notify of shop"


def test_an_operation_with_a_successor_was_renamed() -> None:
    assert failures_of(orders("reserve", "tell"), orders("reserve", "notify")) == ()


def test_an_operation_of_requests_that_are_rarer_now_has_not_vanished() -> None:
    reports = [serve("GET /report", at, at + 5, query("SELECT all", at + 1, at + 2)) for at in range(0, 4_000, 100)]
    assert failures_of([*orders("reserve"), *reports[:1]], [*orders("reserve"), *reports]) == ()


# --- The verdict ------------------------------------------------------------------------------------------------------


def test_failing_requests_are_a_verdict_of_their_own() -> None:
    verdict = diagnose(at_work(*payments(20)))
    assert (verdict.answer, verdict.bottleneck, verdict.confidence) == (Answer.FOUND, Bottleneck.ERRORS, "high")
    assert (verdict.service, verdict.operation) == ("bank", "UPDATE account")
    assert verdict.sentence().startswith("errors: 20.0% (12.7-29.2%) of the requests fail; the failures begin in ")


def test_a_vanished_operation_is_a_verdict() -> None:
    verdict = diagnose(at_work(*orders("reserve")), seen(*orders("reserve", "notify")))
    assert (verdict.bottleneck, verdict.operation, verdict.confidence) == (Bottleneck.ERRORS, "notify", "medium")


def test_a_class_of_bottleneck_comes_before_its_errors() -> None:
    """Twenty statements take the time; requests that fail may fail for it."""
    roots = [
        failing(serve("POST /pay", at, at + 62, *queries("SELECT item", 20, start=at + 1, each=3)))
        for at in range(0, COUNT * 100, 100)
    ]
    verdict = diagnose(at_work(*roots))
    assert verdict.bottleneck is Bottleneck.N_PLUS_ONE
    assert "errors in shop POST /pay" in verdict.also
    assert len(verdict.failures) == 1
