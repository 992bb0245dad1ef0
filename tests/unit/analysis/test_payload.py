"""Detector of large payloads: what it reports, what only looks like one, and what a smaller payload would save."""

import random

import pytest

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.detectors.payload import find_payload
from observability.analysis.diagnosis import diagnose
from observability.analysis.spans import Attribute, SpanKind
from observability.analysis.time_table import time_table
from observability.analysis.trees import Node
from observability.analysis.unexplained import reasons_against_none
from tests.unit.analysis.seeing import call, found, later, named, requests_in, seen, serve, step

SEEDS = range(5)
FEW, MANY = (1, 12), (200, 1_200)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_call_that_grows_with_its_rows_is_a_payload(seed: int) -> None:
    """A call takes 20 ms, and 0.1 ms for each row, of which 100 are usual."""
    roots = _reading(seed, rows=MANY, per_row=0.1)
    [candidate] = found(find_payload, seen(*roots))
    assert named(candidate) == (Bottleneck.PAYLOAD, "shop", "GetStock")
    rows = [_rows(root) for root in roots]
    assert sum(candidate.saving.wait) == pytest.approx(sum(rows) * 1e-4 - len(rows) * 0.01, rel=0.2)


def test_a_payload_is_named_rather_than_a_slow_call() -> None:
    verdict = diagnose(seen(*_reading(1, rows=MANY, per_row=0.1)))
    assert (verdict.bottleneck, verdict.service, verdict.operation) == (Bottleneck.PAYLOAD, "shop", "GetStock")
    assert all("GetStock" not in each for each in verdict.also)


def test_a_statement_is_named_where_its_caller_adds_nothing() -> None:
    roots = [
        later(serve("GET /things", 0, end + 5, _statement(rows, 1, end)), 300 * number)
        for number, rows in enumerate(_sizes(1, MANY))
        for end in [20 + rows * 0.1]
    ]
    [candidate] = found(find_payload, seen(*roots))
    assert named(candidate) == (Bottleneck.PAYLOAD, "shop", "SELECT item")


@pytest.mark.parametrize("seed", SEEDS)
def test_time_that_grows_with_few_rows_is_ordinary_work(seed: int) -> None:
    assert found(find_payload, seen(*_reading(seed, rows=FEW, per_row=5))) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_many_rows_that_cost_nothing_are_no_payload(seed: int) -> None:
    assert found(find_payload, seen(*_reading(seed, rows=MANY, per_row=0))) == []


def test_a_payload_of_one_size_shows_nothing() -> None:
    assert found(find_payload, seen(*_reading(1, rows=(700, 700), per_row=0.1))) == []


def test_a_small_payload_is_a_reason_against_no_bottleneck() -> None:
    """It takes less than a tenth of the time, of which its ends may spend more outside the call."""
    observation = seen(*_reading(1, rows=MANY, per_row=0.04, more=300))
    requests = requests_in(observation)
    assert diagnose(observation).bottleneck is None
    reasons = reasons_against_none(observation, requests, time_table(requests))
    assert any("the more rows it carries" in each for each in reasons)


def _reading(seed: int, *, rows: tuple[int, int], per_row: float, more: float = 10) -> list[Node]:
    """Return requests of which each makes one call that reads so many rows; `more` is the time of all else."""
    source = random.Random(seed)
    roots = []
    for number, count in enumerate(_sizes(seed, rows)):
        took = 20 * source.lognormvariate(0, 0.2) + per_row * count
        read = serve("GetStock", 3, took - 3, _statement(count, 4, 4 + took / 4, service="stock"), service="stock")
        roots.append(later(serve("POST /things", 0, took + more, call("GetStock", 1, took, read)), 1_000 * number))
    return roots


def _sizes(seed: int, rows: tuple[int, int], count: int = 100) -> list[int]:
    source = random.Random(seed)
    return [source.randint(*rows) for _ in range(count)]


def _statement(rows: int, start: float, end: float, *, service: str = "shop") -> Node:
    attributes: dict[str, Attribute] = {"db.system.name": "postgresql", "db.response.returned_rows": rows}
    return step("SELECT item", start, end, kind=SpanKind.CLIENT, service=service, attributes=attributes)


def _rows(root: Node) -> int:
    [rows] = (
        rows for each in root.walk() if isinstance(rows := each.span.attributes.get("db.response.returned_rows"), int)
    )
    return rows
