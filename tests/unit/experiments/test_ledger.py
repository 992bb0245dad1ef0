"""Every trial that was begun is listed, with its end or without."""

from pathlib import Path

import pytest

from observability.experiments.runner.errors import TrialError
from observability.experiments.runner.ledger import CUT_OFF, Ledger


def test_a_trial_is_listed_with_its_outcome(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.write("surge", 3, tmp_path / "surge-3")
    ledger.write("surge", 3, tmp_path / "surge-3", "right")
    (run,) = ledger.runs()
    assert (run.experiment, run.seed, run.folder, run.outcome) == ("surge", 3, "surge-3", "right")


def test_an_interrupted_trial_stays_listed_when_resumed(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.write("surge", 3, tmp_path / "surge-3")
    ledger.write("surge", 3, tmp_path / "surge-3")
    ledger.write("surge", 3, tmp_path / "surge-3", "right")
    assert [run.outcome for run in ledger.runs()] == [CUT_OFF, "right"]


def test_trials_side_by_side_keep_their_own_ends(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.write("surge", 1, tmp_path / "surge-1")
    ledger.write("healthy", 1, tmp_path / "healthy-1")
    ledger.write("surge", 1, tmp_path / "surge-1", "WRONG: said found")
    assert [(run.experiment, run.outcome) for run in ledger.runs()] == [
        ("surge", "WRONG: said found"),
        ("healthy", CUT_OFF),
    ]


def test_nothing_was_run_where_there_is_no_list(tmp_path: Path) -> None:
    assert Ledger(tmp_path).runs() == ()


@pytest.mark.parametrize("content", ["{\n", '{"at": "now"}\n'], ids=["no JSON", "no run"])
def test_a_malformed_ledger_is_an_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "runs.jsonl").write_text(content)
    with pytest.raises(TrialError, match="move it away"):
        Ledger(tmp_path).runs()


def test_a_line_that_was_cut_off_while_it_was_written_is_none(tmp_path: Path) -> None:
    Ledger(tmp_path).write("surge", 3, tmp_path / "surge-3")
    with (tmp_path / "runs.jsonl").open("a") as file:
        file.write('{"at": "20')
    assert [run.experiment for run in Ledger(tmp_path).runs()] == ["surge"]
