"""`python -m observability.report.demo RESULT.json REPORT.html`: renders a result again."""

import sys
from pathlib import Path

from observability.report.demo.page import render
from observability.report.demo.result import parse_result


def main(arguments: list[str]) -> int:
    """Render the file of the first argument into that of the second; returns the exit status."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m observability.report.demo RESULT.json REPORT.html\n")
        return 2
    source, target = map(Path, arguments)
    try:
        target.write_text(render(parse_result(source.read_bytes())), encoding="utf-8")
    except (OSError, ValueError) as error:
        sys.stderr.write(f"cannot render {source}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
