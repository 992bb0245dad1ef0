"""Tests of a run's result: its counts and validity, and the atomic write of its file."""

from pathlib import Path

import orjson
import pytest

from observability.load.errors import LoadError
from observability.load.host_usage import HostUse
from observability.load.options import LoadOptions
from observability.load.result import LoadResult, write_result
from observability.load.validity_checks import Gate, GateStatus
from tests.unit.load.records import record


def result(*outcomes: str, gate: GateStatus = GateStatus.PASSED, stop_signal: int | None = None) -> LoadResult:
    return LoadResult(
        loop="open",
        options=LoadOptions(target="127.0.0.1:1", seed=1, run_nonce="n"),
        scheduled=len(outcomes),
        records=tuple(record(index, outcome=outcome) for index, outcome in enumerate(outcomes)),
        gates=(Gate("some gate", gate, "a sentence"),),
        host=HostUse(None, 0.1, None, {}, None, None, 0.0),
        started_at_unix_seconds=0.0,
        elapsed_seconds=2.0,
        stop_signal=stop_signal,
    )


def test_orders_are_counted_by_how_they_ended() -> None:
    summary = result("confirmed", "confirmed", "pending", "rejected", "error", "transport").summary()
    assert (summary.sent, summary.confirmed, summary.pending) == (6, 2, 1)
    assert summary.rejected_by_reason == summary.errors_by_reason == {"SOME_REASON": 1}
    assert summary.transport_errors_by_reason == {"SOME_REASON": 1}


def test_throughput_counts_answers_only() -> None:
    assert result("confirmed", "rejected", "error", "transport").summary().throughput_per_second == 1.5


def test_a_failed_gate_makes_a_run_invalid_and_says_why() -> None:
    assert result("confirmed", gate=GateStatus.FAILED).invalid_because == ["some gate: a sentence"]


def test_a_gate_that_was_not_checked_leaves_a_run_valid() -> None:
    assert result("confirmed", gate=GateStatus.NOT_CHECKED).valid


def test_a_run_stopped_early_is_invalid() -> None:
    assert not result("confirmed", stop_signal=2).valid


def test_a_run_without_an_order_still_has_figures() -> None:
    assert result().summary().latency is None


def test_the_file_has_every_request(tmp_path: Path) -> None:
    path = tmp_path / "new" / "result.json"
    write_result(result("confirmed", "rejected"), path)
    requests = orjson.loads(path.read_bytes())["requests"]
    assert [each["outcome"] for each in requests] == ["confirmed", "rejected"]
    assert {"intended_seconds", "sent_seconds", "done_seconds", "lines"} <= requests[0].keys()


def test_a_file_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LoadError, match="cannot write the result"):
        write_result(result(), tmp_path / "file" / "result.json")


def test_nothing_but_the_result_is_left_in_its_folder(tmp_path: Path) -> None:
    write_result(result(), tmp_path / "result.json")
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]
