"""Endpoints file: content, permissions, and choice of the newest."""

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from services.local.platform.endpoints import Endpoints, newest_running, remove_stale
from services.local.processes.errors import FolderUnusable
from services.local.processes.process_identity import start_token


@pytest.fixture
def endpoints() -> Endpoints:
    """Return the endpoints of a platform whose supervisor is this process."""
    token = start_token(os.getpid())
    assert token is not None
    return Endpoints(
        run_id="one",
        mode="services",
        bus="postgres",
        supervisor_pid=os.getpid(),
        supervisor_token=token,
        edge_http="127.0.0.1:8400",
        order_grpc="127.0.0.1:8401",
        inventory_grpc="127.0.0.1:8402",
        admin={"order": "127.0.0.1:8403", "inventory": "127.0.0.1:8404"},
        otlp_http="127.0.0.1:8405",
        databases={"order": "postgresql://order:secret@127.0.0.1:8406/order"},
        event_log_url="postgresql://event_log:secret@127.0.0.1:8406/event_log",
        event_log_allow_unsafe_sync=False,
        postgres_pid=11,
        service_pids={"order": 12},
        run_directory="out/up/8400",
        traces_directory="out/up/8400/traces",
        notifications_directory="out/up/8400/notifications",
        logs={"order": "out/up/8400/logs/order.log"},
    )


def test_endpoints_are_loaded_as_saved(endpoints: Endpoints, tmp_path: Path) -> None:
    endpoints.save(tmp_path / "deep" / "8400.json")
    assert Endpoints.load(tmp_path / "deep" / "8400.json") == endpoints


def test_only_the_owner_reads_the_file(endpoints: Endpoints, tmp_path: Path) -> None:
    endpoints.save(tmp_path / "8400.json")
    assert stat.S_IMODE((tmp_path / "8400.json").stat().st_mode) == 0o600


def test_a_readable_file_is_replaced_by_a_private_one(endpoints: Endpoints, tmp_path: Path) -> None:
    (tmp_path / "8400.json").write_text("old")
    (tmp_path / "8400.json").chmod(0o644)
    endpoints.save(tmp_path / "8400.json")
    assert stat.S_IMODE((tmp_path / "8400.json").stat().st_mode) == 0o600


def test_saving_leaves_nothing_else_in_the_folder(endpoints: Endpoints, tmp_path: Path) -> None:
    endpoints.save(tmp_path / "8400.json")
    assert [path.name for path in tmp_path.iterdir()] == ["8400.json"]


def test_passwords_are_not_in_the_representation(endpoints: Endpoints) -> None:
    assert "secret" not in repr(endpoints)


def test_an_unwritable_folder_is_named(endpoints: Endpoints, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderUnusable, match=r"cannot write .*8400\.json"):
        endpoints.save(tmp_path / "file" / "8400.json")


@pytest.mark.parametrize("content", ['{"name": 1}', "[1]"])
def test_another_json_file_is_no_endpoints_file(content: str, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text(content)
    with pytest.raises(ValueError, match="not an endpoints file"):
        Endpoints.load(tmp_path / "other.json")


def test_the_newest_of_those_that_run_counts(endpoints: Endpoints, tmp_path: Path) -> None:
    for number, name in enumerate(("older", "newer", "gone")):
        token = "another process" if name == "gone" else endpoints.supervisor_token
        replace(endpoints, run_id=name, supervisor_token=token).save(tmp_path / f"{name}.json")
        os.utime(tmp_path / f"{name}.json", (number, number))
    found = newest_running(tmp_path)
    assert found is not None
    assert found.run_id == "newer"


def test_nothing_runs_where_nothing_was_started(tmp_path: Path) -> None:
    assert newest_running(tmp_path / "nowhere") is None


def test_only_the_file_of_a_dead_supervisor_is_removed(endpoints: Endpoints, tmp_path: Path) -> None:
    endpoints.save(tmp_path / "running.json")
    # The number is in use, by a process that started at another time: numbers are used again.
    replace(endpoints, supervisor_token="another process").save(tmp_path / "gone.json")
    (tmp_path / "foreign.json").write_text("[1]")
    remove_stale(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["foreign.json", "running.json"]
