"""Counts of what makes the code hard to read: python -m tests.architecture.readability [FOLDER]. Each must be 0."""

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.runbooks import runbooks

ROOT = Path(__file__).parents[2]
SOURCES = ("services", "observability", "grafana", "compose", "docs/pictures", "protos", "tests")
GENERATED = "protos/gen"
RUNBOOKS = "observability/runbooks"
# Packages that hold packages alone: a module beside them has no place that says what it holds.
ROOMS = ("services", "services/local", "observability", "grafana", "grafana/build")
LONGEST_TEST_NAME = 75
# Public classes of one name in several modules, and why each is right where it is.
HOMONYMS = {
    "EventNotUnderstood": "Each context that consumes order events states its own error.",
    "Order": "The order as customers see it (api), and the aggregate (domain).",
    "OrderEvents": "Each context translates the events of an order that it consumes.",
    "OutOfStock": "Inventory states it of its stock, the order context of an order that it rejected.",
    "Shortage": "Each of both contexts names the SKU in its OutOfStock.",
    "SkuNotFound": "Inventory states it of its stock, the order context of an order that it rejected.",
}


class Finding(NamedTuple):
    """A place in the code, as FILE:LINE or FILE, and what is wrong there."""

    place: str
    text: str


def count(root: Path = ROOT) -> dict[str, list[Finding]]:
    """Return the findings of each kind in a tree."""
    trees = {path.relative_to(root).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in files(root)}
    return {
        "docstrings that ask": list(questions(trees)),
        "modules beside packages": list(loose_modules(trees)),
        "public classes of one name": list(homonyms(trees)),
        "sections of runbooks that only refer": list(references(root)),
        "long test names": list(long_test_names(trees)),
    }


def files(root: Path) -> Iterator[Path]:
    """Yield our own Python files."""
    for folder in SOURCES:
        for path in sorted((root / folder).rglob("*.py")):
            if not {"node_modules", "__pycache__"} & set(path.parts) and GENERATED not in path.as_posix():
                yield path


def questions(trees: Mapping[str, ast.Module]) -> Iterator[Finding]:
    """Yield the docstrings of modules, classes and functions whose first paragraph holds a question."""
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                summary = " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())
                if "? " in f"{summary} ":
                    yield Finding(f"{path}:{getattr(node, 'lineno', 1)}", summary)


def loose_modules(paths: Iterable[str]) -> Iterator[Finding]:
    """Yield the modules of ROOMS that stand beside packages."""
    for path in paths:
        folder, _, name = path.rpartition("/")
        if folder in ROOMS and name not in {"__init__.py", "__main__.py"}:
            yield Finding(path, "move it into a package that says what it holds")


def homonyms(trees: Mapping[str, ast.Module]) -> Iterator[Finding]:
    """Yield the public classes outside of tests whose name another one has, too, and exceptions that are none."""
    found: dict[str, list[str]] = {}
    for path, tree in trees.items():
        if not path.startswith("tests/"):
            for node in tree.body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    found.setdefault(node.name, []).append(f"{path}:{node.lineno}")
    for name, places in found.items():
        if len(places) > 1 and name not in HOMONYMS:
            yield Finding(places[0], f"class {name} is in {', '.join(places[1:])}, too")
    for name in HOMONYMS:
        if len(found.get(name, ())) < 2:
            yield Finding(
                "tests/architecture/readability.py", f"HOMONYMS has {name}, which is not the name of two classes"
            )


def long_test_names(trees: Mapping[str, ast.Module]) -> Iterator[Finding]:
    """Yield the tests with a long name: it says what is tested and what that does; a docstring may say more."""
    for path, tree in trees.items():
        for node in ast.walk(tree) if path.startswith("tests/") else ():
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and len(node.name) > LONGEST_TEST_NAME:
                yield Finding(f"{path}:{node.lineno}", f"{node.name} has more than {LONGEST_TEST_NAME} characters")


def references(root: Path) -> Iterator[Finding]:
    """Yield the sections of runbooks that are empty or refer to another text."""
    for book in runbooks(root / RUNBOOKS):
        for heading in book.references():
            yield Finding(f"{RUNBOOKS}/{book.alert}.md", f"{heading} has no statement of its own")


def main(root: Path) -> int:
    """Print what was found, and how many of each kind; return the exit status."""
    counts = count(root)
    for kind, findings in counts.items():
        for finding in findings:
            print(f"{finding.place}: {kind}: {finding.text}")  # noqa: T201
    print(", ".join(f"{kind}: {len(findings)}" for kind, findings in counts.items()))  # noqa: T201
    return 1 if any(counts.values()) else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if sys.argv[1:] else ROOT))
