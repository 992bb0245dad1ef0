"""Tests of the target: which platform a run goes to."""

import os
from pathlib import Path

import pytest

from observability.load.errors import LoadError, LoadUsageError
from observability.load.target import UP_DIRECTORY, Target, find_target
from services.local.platform.endpoints import Endpoints
from services.local.processes.process_identity import start_token

SERVICES = {"order": "127.0.0.1:3", "inventory": "127.0.0.1:4"}


def endpoints(admin: dict[str, str]) -> Endpoints:
    return Endpoints(
        run_id="r",
        mode="services",
        bus="postgres",
        supervisor_pid=os.getpid(),
        supervisor_token=start_token(os.getpid()) or "",
        edge_http="127.0.0.1:0",
        order_grpc="127.0.0.1:1",
        inventory_grpc="127.0.0.1:2",
        admin=admin,
        otlp_http="127.0.0.1:5",
        databases={},
        event_log_url="",
        event_log_allow_unsafe_sync=False,
        postgres_pid=None,
        service_pids={"order": 7},
        run_directory="run",
        traces_directory="traces",
        notifications_directory="notifications",
        logs={},
    )


def test_a_named_edge_alone_has_no_inventory_and_no_admin() -> None:
    assert find_target(edge="127.0.0.1:9", inventory=None, endpoints_path=None) == Target(edge="127.0.0.1:9")


@pytest.mark.parametrize("admin", [SERVICES, {"monolith": "127.0.0.1:3"}], ids=["services", "monolith"])
def test_the_endpoints_file_names_the_admin_of_the_edge(tmp_path: Path, admin: dict[str, str]) -> None:
    endpoints(admin).save(tmp_path / "endpoints.json")
    found = find_target(edge=None, inventory=None, endpoints_path=tmp_path / "endpoints.json")
    assert found == Target("127.0.0.1:0", "127.0.0.1:2", "127.0.0.1:3", {"order": 7})


def test_without_a_name_the_newest_running_platform_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    endpoints(SERVICES).save(UP_DIRECTORY / "8400.json")
    assert find_target(edge=None, inventory=None, endpoints_path=None).edge == "127.0.0.1:0"


def test_a_missing_platform_is_an_error_that_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LoadError, match="plumb up"):
        find_target(edge=None, inventory=None, endpoints_path=None)


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"edge_http": 1}'])
def test_an_unusable_endpoints_file_is_rejected(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "endpoints.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(LoadUsageError, match="endpoints file"):
        find_target(edge=None, inventory=None, endpoints_path=path)
