"""Tests of `plumb bench read-model`: it measures the product's own query at two sizes, and shows its plan."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner, Result

from observability.cli import main

SHORT = ("bench", "read-model", "--small", "1000", "--big", "2000", "--rounds", "2", "--queries", "10", "--output")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Mapping[str, Any]]:
    """Run a short benchmark; return the command's result and its file."""
    output = tmp_path_factory.mktemp("bench-read-model")
    result = CliRunner().invoke(main, [*SHORT, str(output)])
    assert result.exit_code == 0, result.output
    (written,) = output.glob("*/result.json")
    return result, orjson.loads(written.read_bytes())


def test_read_model_bench_reports_page_times_and_index_scans(run: tuple[Result, Mapping[str, Any]]) -> None:
    output = run[0].output
    assert "big / small" in output
    assert "order_summaries_by_customer" in output


@pytest.mark.parametrize("case", ["first page", "deep page"])
def test_the_file_has_quantiles_and_ratios(run: tuple[Result, Mapping[str, Any]], case: str) -> None:
    document = run[1]
    for q in ("p50", "p95", "p99"):
        assert all(document["figures"][f"{case}, {size}"][q]["seconds"] > 0 for size in ("small", "big"))
        ratio = document["big_over_small"][case][q]
        assert 0 < ratio["low"] <= ratio["value"] <= ratio["high"]


def test_the_file_has_every_query_of_every_round(run: tuple[Result, Mapping[str, Any]]) -> None:
    blocks = [block for sizes in run[1]["seconds"].values() for rounds in sizes.values() for block in rounds]
    assert [len(block) for block in blocks] == [10] * 2 * 2 * 2


@pytest.mark.parametrize("size", ["small", "big"])
def test_the_plans_counted_are_those_of_all_its_queries(run: tuple[Result, Mapping[str, Any]], size: str) -> None:
    """Three rounds with the warm-up, of ten queries of two cases each."""
    chosen = run[1]["models"][size]["plans_chosen"]
    assert chosen["generic"] + chosen["custom"] == 3 * 10 * 2


@pytest.mark.parametrize("size", ["small", "big"])
def test_deep_pages_are_deep(run: tuple[Result, Mapping[str, Any]], size: str) -> None:
    assert run[1]["models"][size]["deep_place"]["median"] >= 100
