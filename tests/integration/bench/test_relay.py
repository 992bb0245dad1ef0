"""Tests of `plumb bench relay`: it measures the real relay and pgbench on one machine."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner, Result

from observability.cli import main
from services.infra.messaging.relay import BATCH_SIZE

SHORT = ("bench", "relay", "--pairs", "2", "--batches", "1", "--output")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Mapping[str, Any]]:
    """Run a short benchmark; return the command's result and its file."""
    output = tmp_path_factory.mktemp("bench-relay")
    result = CliRunner().invoke(main, [*SHORT, str(output)])
    assert result.exit_code == 0, result.output
    (written,) = output.glob("*/result.json")
    return result, orjson.loads(written.read_bytes())


def test_relay_bench_reports_both_rates_and_their_ratio(run: tuple[Result, Mapping[str, Any]]) -> None:
    output = run[0].output
    assert "relay / pgbench: " in output
    assert "INSERT event_log" in output


def test_relay_bench_writes_pairs_and_estimates(run: tuple[Result, Mapping[str, Any]]) -> None:
    document = run[1]
    assert (len(document["pairs"]), document["events_a_batch"]) == (2, BATCH_SIZE)
    assert all(pair["relay"] > 0 and pair["pgbench"] > 0 for pair in document["pairs"])
    for name in ("relay_events_per_second", "pgbench_events_per_second", "relay_over_pgbench"):
        assert document[name]["low"] <= document[name]["value"] <= document[name]["high"]


def test_the_relays_time_is_split_by_statement(run: tuple[Result, Mapping[str, Any]]) -> None:
    spent = run[1]["relay_seconds_an_event"]
    assert spent["order: SELECT outbox"] > 0
    assert spent["log: INSERT event_log"] > 0


def test_a_missing_pgbench_is_an_error_with_a_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's own programs are installed, as in a distribution with a separate package for pgbench."""
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path).name != "pgbench" and Path(path).exists())
    result = CliRunner().invoke(main, [*SHORT, str(tmp_path)])
    assert result.exit_code == 2
    assert "apt-get install" in result.output
