"""Command that writes the dashboards, or with `--check` compares them with the committed files."""

import argparse
import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana.build.boards import dependencies, events, overview, runtime, service
from grafana.build.boards.board import assemble
from grafana.build.lib.panel import Board

BOARDS = (overview.BOARD, service.BOARD, dependencies.BOARD, events.BOARD, runtime.BOARD)
DASHBOARDS = Path(__file__).parents[1] / "dashboards"


def render() -> dict[str, str]:
    """Return the text of each dashboard's file by the file's name."""
    return {f"{board.uid}.json": _text(board) for board in BOARDS}


def differing(folder: Path = DASHBOARDS) -> list[str]:
    """Return the names of files that are missing or stale, or that belong to no dashboard."""
    built = render()
    committed = {path.name: path.read_text() for path in folder.glob("*.json")}
    return sorted(name for name in built.keys() | committed.keys() if built.get(name) != committed.get(name))


def main() -> int:
    """Run the command; 1 when `--check` finds a difference."""
    parser = argparse.ArgumentParser(prog="python -m grafana.build")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when a file differs")
    if parser.parse_args().check:
        names = differing()
        sys.stderr.writelines(f"{name} differs: run python -m grafana.build\n" for name in names)
        return int(bool(names))
    DASHBOARDS.mkdir(exist_ok=True)
    for name, text in render().items():
        (DASHBOARDS / name).write_text(text)
    return 0


def _text(board: Board) -> str:
    content = json.loads(json.dumps(assemble(board), cls=JSONEncoder))
    # The SDK moves these into a menu. Without a placement Grafana shows them on the page.
    for shown in (*content["links"], *content["annotations"]["list"]):
        del shown["placement"]
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.exit(main())
