"""Test of `plumb bench patterns`: each measurement runs, and fills its row of the table."""

from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from observability.bench.patterns.catalogue import PATTERNS
from observability.cli import main

# One of each kind of measurement, since each takes half a minute: on a database, on a platform, and by another bench.
NAMES = ["retry_with_jitter", "coarse_services", "observability"]


@pytest.mark.full
@pytest.mark.parametrize("name", NAMES)
def test_a_pattern_is_measured(name: str, tmp_path: Path) -> None:
    command = ["bench", "patterns", "--tiny", "--only", name, "--output", str(tmp_path / "runs"), "--to", str(tmp_path)]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    effects = orjson.loads((tmp_path / "patterns.json").read_bytes())["patterns"][name]["effects"]
    assert effects
    for effect in effects:
        assert effect["figure"]["low"] <= effect["figure"]["value"] <= effect["figure"]["high"]
        assert effect["what"] in (tmp_path / "patterns.md").read_text()


def test_an_unknown_pattern_is_a_usage_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["bench", "patterns", "--only", "blockchain", "--output", str(tmp_path)])
    assert result.exit_code == 2
    assert "--only must be one of" in result.output


def test_render_keeps_the_results(tmp_path: Path) -> None:
    (tmp_path / "patterns.json").write_bytes(b'{"format":"plumbline-patterns/1","patterns":{}}')
    result = CliRunner().invoke(main, ["bench", "patterns", "--render", "--to", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "patterns.md").read_text().count("not measured yet") == len(PATTERNS)
