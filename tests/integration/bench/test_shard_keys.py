"""Tests of `plumb bench shard-keys` on four servers, with a small file of baskets."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner, Result

from observability.cli import main

COMMAND = ("bench", "shard-keys", "--orders", "60", "--window", "60", "--output")
LINES = 3

# Four servers.
pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Mapping[str, Any]]:
    """Run a short benchmark; return the command's result and its file."""
    output = tmp_path_factory.mktemp("bench-shard-keys")
    baskets = output / "baskets.csv"
    baskets.write_text("10001,10002,10003\n" * 8_000)
    result = CliRunner().invoke(main, [*COMMAND, str(output / "runs"), "--baskets", str(baskets)])
    assert result.exit_code == 0, result.output
    (written,) = output.glob("runs/*/result.json")
    return result, orjson.loads(written.read_bytes())


def test_each_shard_key_stores_the_same_rows(run: tuple[Result, Mapping[str, Any]]) -> None:
    """For 60 orders: the order, its lines, two events with their outbox rows, and its key; three are cancelled."""
    expected = 60 * (1 + LINES + 2 + 2 + 1) + 3 * 3
    assert {key: sum(map(sum, each["rows"])) for key, each in run[1]["windows"].items()} == {
        "user": expected,
        "region": expected,
        "time": expected,
    }


def test_time_as_shard_key_has_one_busy_server_and_scattered_lists(run: tuple[Result, Mapping[str, Any]]) -> None:
    keys = run[1]["keys"]
    assert keys["time"]["hot_spot_ratio_rows"] == pytest.approx(4.0)
    assert keys["time"]["servers_asked"] == {"PlaceOrder": 1, "GetOrder": 1, "ListOrders": 4, "CancelOrder": 1}
    assert keys["user"]["servers_asked"]["ListOrders"] == 1
    assert keys["user"]["hot_spot_ratio_rows"] < keys["region"]["hot_spot_ratio_rows"]


def test_the_expectation_is_printed_beside(run: tuple[Result, Mapping[str, Any]]) -> None:
    assert run[1]["expected_hot_spot_ratio"] == {"user": 1.1, "region": 3.7, "time": 4.0}
    assert "expected" in run[0].output


def test_without_a_file_of_baskets_it_is_skipped_aloud(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, [*COMMAND, str(tmp_path), "--baskets", str(tmp_path / "none")])
    assert (result.exit_code, "skipped: there is no file of baskets" in result.output) == (0, True)
