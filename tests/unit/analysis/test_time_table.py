"""Time table: every nanosecond of the critical paths in one row, named as a reader of the traces would name it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observability.analysis.diagnosis import diagnose
from observability.analysis.time_table import TimeKind, TimeRow, share_of_time, time_table
from observability.analysis.trees import Node
from observability.analysis.verdict import Answer
from tests.unit.analysis.seeing import busy, call, each_later, query, request, requests_in, seen, serve, step


def rows_of(*roots: Node) -> tuple[TimeRow, ...]:
    return time_table(requests_in(seen(*roots))).rows


def shares(rows: tuple[TimeRow, ...]) -> dict[str, float]:
    return {row.name: round(row.share.value, 9) for row in rows}


def test_a_statement_is_named_with_its_service_and_its_database() -> None:
    """Of 20 ms the statement takes 16, the code around it the rest."""
    [statement, code] = rows_of(*[request(20, query("SELECT customers", 2, 18, service="customer"))] * 3)
    assert (statement.name, statement.kind, statement.peer) == (
        "SELECT customers of customer (postgresql)",
        TimeKind.CALL,
        "postgresql",
    )
    assert (statement.share.value, code.share.value) == pytest.approx((0.8, 0.2))
    assert (code.name, code.kind) == ("own code in POST /things of shop", TimeKind.CODE)


def test_the_way_to_a_callee_and_back_is_a_row_of_its_own() -> None:
    """A call of 10 ms whose server works for 6."""
    found = rows_of(request(20, call("Reserve", 5, 15, serve("Reserve", 7, 13, service="stock"))))
    assert shares(found) == {
        "own code in POST /things of shop": 0.5,
        "own code in Reserve of stock": 0.3,
        "transit to stock and back in Reserve of shop": 0.2,
    }
    [way] = [row for row in found if row.kind is TimeKind.TRANSIT]
    assert (way.service, way.peer, way.calls_per_request) == ("shop", "stock", 1)


@pytest.mark.parametrize(
    "begin",
    [query("BEGIN", 5, 16, waited=10), query("BEGIN", 15, 16, waited=10), query("BEGIN", 5, 16, waited=10.0001)],
    ids=["within the span", "before the span", "rounded"],
)
def test_a_wait_for_a_connection_is_told_from_the_statement(begin: Node) -> None:
    waits = [row for row in rows_of(request(20, begin)) if row.kind is TimeKind.WAIT]
    assert [(row.name, round(row.share.value, 3)) for row in waits] == [
        ("wait for a connection before BEGIN of shop", 0.5)
    ]


@pytest.mark.parametrize("acquire", [step("pg-pool.connect", 2, 12), query("connect", 2, 12)], ids=["pg", "SQLAlchemy"])
def test_a_span_that_gets_a_connection_is_a_wait_for_it(acquire: Node) -> None:
    waits = [row for row in rows_of(request(20, acquire, query("SELECT", 12, 14))) if row.kind is TimeKind.WAIT]
    assert [(row.name, row.operation, round(row.share.value, 3)) for row in waits] == [
        ("wait for a connection in shop", "", 0.5)
    ]


def test_the_opening_of_a_connection_is_no_wait_for_one() -> None:
    assert TimeKind.WAIT not in {row.kind for row in rows_of(request(20, call("connect", 2, 12)))}


def test_calls_are_counted_a_request() -> None:
    """One request sends it thrice, the other not at all."""
    [row] = [
        row
        for row in rows_of(request(20, *(query("SELECT", at, at + 2) for at in (1, 4, 7))), request(20))
        if row.kind is TimeKind.CALL
    ]
    assert (row.requests, row.calls_per_request, round(row.seconds_per_call, 9)) == (1, 1.5, 0.002)


def test_work_beside_the_critical_path_has_no_row() -> None:
    beside = (call("slow", 0, 20), call("quick", 5, 10))
    assert shares(rows_of(request(20, *beside))) == {"slow of shop": 1.0}


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 90), st.integers(1, 30), st.integers(0, 20)), max_size=6),
        min_size=1,
        max_size=5,
    )
)
def test_all_rows_add_up_to_all_time(plans: list[list[tuple[int, int, int]]]) -> None:
    roots = [
        request(100, *(query(f"Q{start % 3}", start, start + length, waited=waited) for start, length, waited in plan))
        for plan in plans
    ]
    assert sum(row.share.value for row in rows_of(*roots)) == pytest.approx(1)


# --- How sure a share is ----------------------------------------------------------------------------------------------


def test_the_share_of_alike_requests_is_sure() -> None:
    requests = requests_in(seen(*[request(20)] * 30))
    share = share_of_time([0.005] * 30, requests)
    assert (share.value, share.low, share.high) == pytest.approx((0.25, 0.25, 0.25))


def test_the_share_of_one_request_in_thirty_is_unsure() -> None:
    requests = requests_in(seen(*[request(20)] * 29, request(220)))
    share = share_of_time([0.0] * 29 + [0.2], requests)
    assert share.low < 0.05 < share.value < share.high


def test_one_request_tells_nothing_of_others() -> None:
    share = share_of_time([0.005], requests_in(seen(request(20))))
    assert (share.low, share.high) == (0, 1)


# --- Where to look first ----------------------------------------------------------------------------------------------


def test_the_place_is_the_row_with_most_time() -> None:
    requests = requests_in(seen(*[request(20, query("SELECT", 1, 18))] * 3))
    place = time_table(requests).place()
    assert place is not None
    assert (place.name, place.operation) == ("SELECT of shop (postgresql)", "SELECT")


def test_a_service_whose_code_takes_most_is_the_place_however_it_is_divided() -> None:
    """Three steps of 5 ms each, and a statement of 5: no row of the code is larger than the statement."""
    steps = [step(name, at * 5, at * 5 + 5) for at, name in enumerate(("parse", "price", "pack"))]
    requests = requests_in(seen(*[request(20, *steps, query("SELECT", 15, 20))] * 3))
    place = time_table(requests).place()
    assert place is not None
    assert (place.name, place.service, place.operation) == ("own code of shop", "shop", "")
    assert place.share.value == pytest.approx(0.75)


def test_calls_of_a_database_are_the_place_together_if_none_is_half() -> None:
    statements = [query(name, at * 5, at * 5 + 5) for at, name in enumerate(("SELECT a", "SELECT b", "SELECT c"))]
    place = time_table(requests_in(seen(*[request(20, *statements)] * 3))).place()
    assert place is not None
    assert (place.name, place.operation) == ("all calls of shop to postgresql", "")
    assert place.share.value == pytest.approx(0.75)


def test_without_requests_there_is_no_place() -> None:
    assert time_table(()).place() is None


# --- In every verdict -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("roots", "answer"),
    [
        (each_later(request(20, query("SELECT", 2, 6))), Answer.NONE),
        ([request(20, *(query("SELECT", at, at + 1) for at in range(10)))] * 30, Answer.FOUND),
        ([request(20, query("SELECT", 2, 6))] * 3, Answer.CANNOT_TELL),
    ],
    ids=["none", "found", "too few"],
)
def test_each_answer_has_the_table_and_a_place(roots: list[Node], answer: Answer) -> None:
    verdict = diagnose(seen(*roots, processes=busy(0.3)))
    assert verdict.answer is answer
    assert verdict.time_table
    assert verdict.place


def test_a_found_class_accounts_for_its_share_and_the_rest_is_unexplained() -> None:
    """Ten statements of 1 ms in 20 ms, of which one for all takes 1: 0.45 is saved."""
    verdict = diagnose(seen(*[request(20, *(query("SELECT", at, at + 1) for at in range(10)))] * 30))
    [found] = verdict.classes
    assert (found.bottleneck, found.worth_fixing) == (verdict.bottleneck, True)
    assert found.share.value + verdict.unexplained == pytest.approx(1)


def test_where_nothing_is_found_all_is_unexplained() -> None:
    verdict = diagnose(seen(*each_later(request(20, query("SELECT", 2, 6))), processes=busy(0.3)))
    assert (verdict.classes, verdict.unexplained) == ((), 1.0)
