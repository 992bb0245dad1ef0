"""Detectors of missing indexes and hot rows: what they report, and what they must not report."""

import pytest

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.detectors.hot_row import find_hot_row
from observability.analysis.detectors.missing_index import find_missing_index
from observability.analysis.observation import Session, TableUse
from observability.analysis.trees import Node
from tests.unit.analysis.seeing import found, looks, named, query, request, saved_wait, seen, session

# --- Missing index ----------------------------------------------------------------------------------------------------


def test_a_table_read_from_end_to_end_lacks_an_index() -> None:
    """The lookup takes 8 ms, and other statements there 1 ms."""
    looked_up = request(10, query("SELECT sale", 0, 8), query("UPDATE sale", 8, 9))
    [candidate] = found(find_missing_index, seen(looked_up, tables=[_table(scans=1, rows_read=10_000)]))
    assert named(candidate) == (Bottleneck.MISSING_INDEX, "shop", "SELECT sale")
    assert candidate.saving.work == pytest.approx([0.007])


@pytest.mark.parametrize(
    ("why", "table"),
    [
        ("the table is small", ("main", 10, 40_000)),
        ("it is hardly ever read so", ("main", 1, 10_000)),
        ("it is never read so", ("main", 0, 0)),
        ("the requests do not use that database", ("other", 10, 1_000_000)),
    ],
)
def test_no_missing_index_where(why: str, table: tuple[str, int, int]) -> None:
    database, scans, rows_read = table
    roots = [request(10, query("SELECT sale", 0, 8), query("UPDATE sale", 8, 9))] * 4
    observation = seen(*roots, tables=[_table(database=database, scans=scans, rows_read=rows_read)])
    assert found(find_missing_index, observation) == [], why


def test_the_statement_is_one_that_reads_that_table() -> None:
    busy_elsewhere = request(30, query("INSERT audit", 0, 9), query("SELECT sale", 9, 17), query("UPDATE sale", 17, 18))
    observation = seen(busy_elsewhere, tables=[_table(scans=1, rows_read=10_000)])
    assert [named(candidate)[2] for candidate in found(find_missing_index, observation)] == ["SELECT sale"]


# --- Hot row ----------------------------------------------------------------------------------------------------------


def test_a_statement_that_waits_for_locks_has_a_hot_row() -> None:
    """Unhindered it takes 1 ms; one request waited 9 ms longer, and locks were waited for 100 ms in all."""
    observation = seen(*_updates(1, 1, 10), sessions=looks([session("Lock")], []))
    [candidate] = found(find_hot_row, observation)
    assert named(candidate) == (Bottleneck.HOT_ROW, "shop", "UPDATE stock")
    assert candidate.saving.wait == pytest.approx([0, 0, 0.009])
    assert candidate.saving.work == (0.0,) * 3


def test_lock_waits_are_bounded_by_what_sessions_show() -> None:
    """The statement lost 90 and 180 ms, and sessions waited for 90 in all: a third of each."""
    observation = seen(*_updates(*[1] * 18, 91, 181), sessions=looks([session("Lock")], [], each_seconds=0.09))
    assert saved_wait(find_hot_row, observation) == pytest.approx([0] * 18 + [0.03, 0.06])


def test_in_a_permanent_queue_the_fastest_tenth_waits_too() -> None:
    """One of twenty took 1 ms, all others 91, and sessions waited for all that these lost."""
    observation = seen(*_updates(1, *[91] * 19), sessions=looks([session("Lock")], [], each_seconds=1.71))
    assert saved_wait(find_hot_row, observation) == pytest.approx([0] + [0.09] * 19)


def test_the_statement_is_from_the_database_with_lock_waits() -> None:
    slow_elsewhere = request(99, query("SELECT report", 10, 99, database="other"))
    observation = seen(*_updates(1, 1, 10), slow_elsewhere, sessions=looks([session("Lock")], []))
    assert [named(candidate)[2] for candidate in found(find_hot_row, observation)] == ["UPDATE stock"]


@pytest.mark.parametrize(
    ("why", "waiting"),
    [
        ("sessions wait for a disk", session("IO")),
        ("sessions work", session(None)),
        ("locks are waited for in a database that the requests do not use", session("Lock", database="other")),
    ],
)
def test_no_hot_row_where(why: str, waiting: Session) -> None:
    assert found(find_hot_row, seen(*_updates(1, 1, 10), sessions=looks([waiting], []))) == [], why


def _table(*, scans: int, rows_read: int, database: str = "main") -> TableUse:
    return TableUse(database, "sale", scans, rows_read, index_scans=0, index_rows_fetched=0, live_rows=10_000)


def _updates(*milliseconds: float) -> list[Node]:
    """Return a request for each of these durations of its UPDATE."""
    return [request(taken + 1, query("UPDATE stock", 0, taken)) for taken in milliseconds]
