"""`plumb load` ends with the right exit code and a sentence that says what to do."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from observability.cli import main
from tests.integration.load.conftest import StartEdge
from tests.patience import PATIENCE_SECONDS

PROGRAM = "from observability.cli import main; main()"


def start(*arguments: str, folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "load", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, "COLUMNS": "200"},
    )


def run(*arguments: str, folder: Path) -> tuple[int, str, str]:
    with start(*arguments, folder=folder) as process:
        output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, output, errors


def test_a_valid_open_loop_exits_with_0_and_writes_its_result(prompt_edge: str, tmp_path: Path) -> None:
    """On a busy machine the run is invalid: then the exit code is 3, and the file says so."""
    code, output, errors = run(
        "--target", prompt_edge, "--rate", "50", "--duration", "2", "--json", "r.json", folder=tmp_path
    )
    assert errors == ""
    assert "not stocked" in output
    result = orjson.loads((tmp_path / "r.json").read_bytes())
    assert code == (0 if result["valid"] else 3)
    assert len(result["requests"]) == result["summary"]["scheduled"] > 0


def test_an_invalid_run_exits_3_and_says_why(start_edge: StartEdge, tmp_path: Path) -> None:
    code, output, _ = run("--target", start_edge(100.0, 4.0), "--rate", "100", "--duration", "2", folder=tmp_path)
    assert code == 3, output
    assert "backlog: " in output.partition("INVALID: ")[2]


def test_a_closed_loop_takes_baskets_in_order_and_counts_others(prompt_edge: str, tmp_path: Path) -> None:
    (tmp_path / "baskets.txt").write_text("22633,POST,22633\nSHORT\n")
    code, output, _ = run(
        *("--target", prompt_edge, "--closed", "--concurrency", "1", "--requests", "4", "--baskets", "baskets.txt"),
        folder=tmp_path,
    )
    assert code == 0, output
    assert "1 fee and postage lines dropped (POST 1)" in output
    assert "1 lines merged" in output
    assert "rejected OUT_OF_STOCK" in output


def test_orders_that_failed_exit_4_and_are_judged(prompt_edge: str, tmp_path: Path) -> None:
    (tmp_path / "baskets.txt").write_text("OK\nBUSY\nSHORT\nPENDING\n")
    code, output, _ = run(
        *("--target", prompt_edge, "--closed", "--concurrency", "1", "--requests", "8", "--baskets", "baskets.txt"),
        folder=tmp_path,
    )
    assert code == 4, output
    assert "8 orders: 2 sold, 2 rejected (OUT_OF_STOCK 2), 2 pending, 2 failed (OVERLOADED 2)." in output
    assert "2 of 8 orders were rejected by overload protection or timed out" in output
    assert "needs 368" in output


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.full)]
)
def test_an_interrupted_run_prints_its_result_so_far(
    prompt_edge: str, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    arguments = ("--target", prompt_edge, "--rate", "20", "--duration", "600", "--json", "r.json")
    with start(*arguments, folder=tmp_path) as process:
        assert process.stdout is not None
        # The plain progress line: the run goes on and has sent orders.
        while "orders after" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(number)
        output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, errors) == (code, "")
    assert "INVALID: stopped early" in output
    assert orjson.loads((tmp_path / "r.json").read_bytes())["summary"]["confirmed"] > 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ((), 2, "--rate and --duration"),
        (("--rate", "5"), 2, "--rate and --duration"),
        (("--rate", "5", "--duration", "1", "--requests", "5"), 2, "--rate and --duration"),
        (("--closed",), 2, "--concurrency and --requests"),
        (("--closed", "--concurrency", "1", "--requests", "1", "--rate", "5"), 2, "--concurrency and --requests"),
        (("--closed", "--concurrency", "0", "--requests", "1", "--target", "127.0.0.1:1"), 2, "--concurrency must be"),
        (("--rate", "0", "--duration", "1", "--target", "127.0.0.1:1"), 2, "--rate must be above 0"),
        (("--rate", "5", "--duration", "-1", "--target", "127.0.0.1:1"), 2, "--duration must be above 0"),
        (("--rate", "5", "--duration", "1", "--timeout", "0"), 2, "--timeout"),
        (("--rate", "5", "--duration", "1", "--cpu", "4096"), 2, "--cpu 4096"),
        (("--rate", "5", "--duration", "1", "--baskets", "absent", "--target", "127.0.0.1:1"), 2, "no file of baskets"),
        (("--rate", "5", "--duration", "1", "--endpoints", "absent"), 2, "endpoints file"),
        (("--rate", "5", "--duration", "1", "--target", "nonsense"), 2, "HOST:PORT"),
        (("--rate", "5", "--duration", "1"), 1, "no platform is running"),
        (("--rate", "5", "--duration", "1", "--target", "127.0.0.1:1"), 1, "nothing answers"),
        (("--rate", "5", "--duration", "1", "--target", "127.0.0.1:1", "--json", "/dev/null/x"), 1, "cannot write"),
    ],
)
def test_bad_input_is_one_plain_message(
    arguments: tuple[str, ...], code: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["load", *arguments])
    assert result.exit_code == code
    assert says in result.stderr
    assert len(result.stderr.splitlines()) == 1
