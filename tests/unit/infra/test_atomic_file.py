"""Files that are written whole or not at all."""

import json
from pathlib import Path
from typing import NoReturn

import pytest

from services.infra.atomic_file import write_atomically, write_json


def test_a_written_file_is_alone_in_a_new_folder(tmp_path: Path) -> None:
    write_atomically(tmp_path / "deep" / "file", b"new")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["file"]


def test_a_failed_write_leaves_the_old_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: Path, _target: Path) -> NoReturn:
        raise OSError("no space left")

    write_atomically(tmp_path / "file", b"old")
    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="no space left"):
        write_atomically(tmp_path / "file", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"old")]


def test_a_document_is_readable_json(tmp_path: Path) -> None:
    write_json(tmp_path / "result.json", {"holds": True, 1: "a number as a key"})
    assert json.loads((tmp_path / "result.json").read_text()) == {"holds": True, "1": "a number as a key"}
