"""Tests of a run's temporary folder: the next start removes what a killed run left behind, and nothing else."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

from services.local.processes.process_identity import start_token
from services.local.processes.scratch_folder import PREFIX, Scratch, reap_stale_runs
from tests.patience import PATIENCE_SECONDS

LEFT_OVER = f"{PREFIX}0123456789abcdef"


def abandoned(parent: Path, records: list[dict[str, object]]) -> Path:
    """Return the folder of a run whose supervisor and cleaner have ended."""
    folder = parent / LEFT_OVER
    folder.mkdir()
    (folder / "lock").write_text("")
    (folder / "data").write_text("left")
    (folder / "processes.json").write_text(json.dumps(records))
    return folder


def mode_of(folder: Path) -> int:
    """Return the permission bits."""
    return stat.S_IMODE(folder.stat().st_mode)


def holder_of(folder: Path) -> subprocess.Popen[bytes]:
    """Start a process that holds the folder's lock, as every process of a run does."""
    code = (
        f"import fcntl; f = open({str(folder / 'lock')!r}); fcntl.flock(f, fcntl.LOCK_SH); print(flush=True); input()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


async def test_a_runs_folder_is_private_and_gone_at_the_end(tmp_path: Path) -> None:
    scratch = Scratch(parent=tmp_path)
    assert mode_of(scratch.folder) == 0o700
    await scratch.close()
    assert not scratch.folder.exists()


async def test_a_living_run_is_left_alone(tmp_path: Path) -> None:
    scratch = Scratch(parent=tmp_path)
    assert reap_stale_runs(parent=tmp_path) == []
    assert scratch.folder.exists()
    await scratch.close()


def test_an_unlocked_folder_is_removed_and_named(tmp_path: Path) -> None:
    folder = abandoned(tmp_path, [])
    assert reap_stale_runs(parent=tmp_path) == [f"removed {folder}, left by an earlier run"]
    assert not folder.exists()


def test_a_folder_that_is_just_being_made_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / LEFT_OVER).mkdir()
    assert reap_stale_runs(parent=tmp_path) == []


def test_a_folder_that_was_never_finished_is_removed(tmp_path: Path) -> None:
    (tmp_path / LEFT_OVER).mkdir()
    os.utime(tmp_path / LEFT_OVER, (time.time() - 3600, time.time() - 3600))
    reap_stale_runs(parent=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_process_left_over_is_killed_and_its_folder_removed(tmp_path: Path) -> None:
    folder = abandoned(tmp_path, [])
    with holder_of(folder) as left_over:
        token = start_token(left_over.pid)
        (folder / "processes.json").write_text(json.dumps([{"name": "order", "pid": left_over.pid, "token": token}]))
        reap_stale_runs(parent=tmp_path)
        assert left_over.wait(timeout=PATIENCE_SECONDS) == -signal.SIGKILL
    assert not folder.exists()


def test_a_foreign_process_with_a_recorded_number_is_not_killed(tmp_path: Path) -> None:
    folder = abandoned(tmp_path, [])
    with holder_of(folder) as foreign:
        records = [{"name": "order", "pid": foreign.pid, "token": "an earlier process"}]
        (folder / "processes.json").write_text(json.dumps(records))
        # Its lock is never given up, so the folder stays as well: nothing is proven about it.
        assert reap_stale_runs(parent=tmp_path) == []
        assert foreign.poll() is None
        foreign.kill()


def test_a_run_whose_reapers_still_stop_it_is_left_to_them(tmp_path: Path) -> None:
    folder = abandoned(tmp_path, [])
    with holder_of(folder) as reaper:
        records = [{"name": "order reaper", "pid": reaper.pid, "token": start_token(reaper.pid)}]
        (folder / "processes.json").write_text(json.dumps(records))
        assert reap_stale_runs(parent=tmp_path) == []
        assert reaper.poll() is None
        reaper.kill()
