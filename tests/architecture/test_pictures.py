"""Checks of the pictures in docs/pictures, and of what the programs that draw them rely on."""

import json
import re
from pathlib import Path

import pytest

from tests.architecture.documents import ROOT
from tests.architecture.test_documents import find, options_of, plumb

FOLDER = ROOT / "docs" / "pictures"
PICTURES = sorted(FOLDER.glob("*.png"))
BYTES_AT_MOST = 250_000
CALL = re.compile(r"\bplumb\((\"[^)]*)\)")
DRAWN = re.compile(r'file: "([^"]+)", rows: (\[[^]]+\])')


def test_each_picture_is_there_in_light_and_in_dark() -> None:
    names = {picture.stem for picture in PICTURES}
    assert names == {f"{name.rpartition('-')[0]}-{colours}" for name in names for colours in ("light", "dark")}


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.name)
def test_picture_is_small_and_says_what_drew_it(picture: Path) -> None:
    content = picture.read_bytes()
    assert len(content) <= BYTES_AT_MOST
    assert b"drawn by" in content, "its footer, which is also its ImageDescription, must say so"


def test_plumb_commands_that_are_pictured_exist() -> None:
    calls = [call for program in FOLDER.glob("draw/*.mjs") for call in CALL.findall(program.read_text())]
    assert len(calls) == 4
    for call in calls:
        words = re.findall(r'"([^"]+)"', call)
        options = {word for word in words if word.startswith("--")}
        assert options <= options_of(find(plumb(), tuple(word for word in words if word not in options))), call


def test_rows_that_are_pictured_exist() -> None:
    drawn = DRAWN.findall((FOLDER / "draw" / "dashboards.mjs").read_text())
    assert len(drawn) == 2
    for file, rows in drawn:
        panels = json.loads((ROOT / file).read_text())["panels"]
        assert set(json.loads(rows)) <= {panel["title"] for panel in panels if panel["type"] == "row"}, file
