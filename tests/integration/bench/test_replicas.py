"""Tests of `plumb bench replicas`: no read with a token is stale, and no write that a standby confirmed is lost."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from observability.bench import replicas
from observability.cli import main

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """Run a short benchmark; return its file."""
    output = tmp_path_factory.mktemp("bench-replicas")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replicas, "WINDOW_SECONDS", 5.0)
        run = CliRunner().invoke(main, ["bench", "replicas", "--reads", "100", "--output", str(output)])
    assert run.exit_code == 0, run.output
    (written,) = output.glob("*/result.json")
    document: Mapping[str, Any] = orjson.loads(written.read_bytes())
    return document


def test_replica_bench_finds_no_stale_read_with_a_token(result: Mapping[str, Any]) -> None:
    assert [(lag["lag_milliseconds"], lag["reads"], lag["stale"]) for lag in result["lags"]] == [
        (milliseconds, 100, 0) for milliseconds in replicas.LAGS_MILLISECONDS
    ]


def test_replica_bench_loses_nothing_that_a_synchronous_standby_has(result: Mapping[str, Any]) -> None:
    synchronous = next(promotion for promotion in result["promotions"] if promotion["synchronous"])
    assert synchronous["acknowledged"] > 0
    assert synchronous["lost"] == 0
