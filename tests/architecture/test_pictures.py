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
DRAWN = re.compile(r'file: "([^"]+)", rows: (\[[^]]+\])(?:,\s+without: (\[[^]]+\]))?')


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


def pictured() -> list[tuple[str, set[str], set[str]]]:
    """Return the file, the rows and the panels left out of each dashboard that is drawn."""
    drawn = DRAWN.findall((FOLDER / "draw" / "dashboards.mjs").read_text())
    return [(file, set(json.loads(rows)), set(json.loads(without or "[]"))) for file, rows, without in drawn]


def test_rows_and_panels_that_the_pictures_name_exist() -> None:
    assert len(pictured()) == 2
    for file, rows, without in pictured():
        panels = json.loads((ROOT / file).read_text())["panels"]
        assert rows <= {panel["title"] for panel in panels if panel["type"] == "row"}, file
        assert without <= {panel["title"] for panel in panels if panel["type"] != "row"}, file


def test_pictured_platform_has_replicas_if_their_panels_are_pictured() -> None:
    """A panel without data ends the drawing with an error."""
    in_pictures = False
    for file, rows, without in pictured():
        row = ""
        for panel in json.loads((ROOT / file).read_text())["panels"]:
            row = panel["title"] if panel["type"] == "row" else row
            if row in rows and panel["title"] not in without:
                in_pictures |= "shop_replica_" in json.dumps(panel)
    assert in_pictures == ('"--replicas"' in (FOLDER / "draw" / "platform.mjs").read_text())
