"""Finder of the targets, commands, options and paths that the documents name in code or link to."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
INLINE = re.compile(r"`([^`\n]+)`")
FENCED = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^    \S.*$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]+)|\b(?:src|srcset|href)=\"([^\"#\s]+)\"")
MADE_BY_A_RUN = ("out/", ".venv", ".uv", "out")
PATTERN = re.compile(r"[<>{}*$]|NNNN|\.\.\.")  # Stands for many paths.


@dataclass(frozen=True, slots=True)
class Command:
    """A command line: its words up to the first option, and the options it names."""

    document: str
    words: tuple[str, ...]
    options: tuple[str, ...]


def documents() -> list[Path]:
    """Return the documents that newcomers and operators read."""
    named = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
    in_docs = filter(_is_ours, (ROOT / "docs").rglob("*.md"))
    return [*named, *sorted(in_docs), *sorted((ROOT / "observability" / "runbooks").glob("*.md"))]


def commands(program: str) -> Iterator[Command]:
    """Yield each command line of `make` or `plumb` in the documents' code, whatever stands before it on the line."""
    for document in documents():
        for line in _code(document.read_text()):
            without_comment = re.split(r"\s#\s", line)[0]
            for call in re.split(r"[;|]|&&", without_comment):
                found = re.search(rf"(?:^|[\s/]){program}((?:\s.*)?)$", call)
                if found:
                    yield _command(document, found[1])


def lone_options() -> Iterator[tuple[str, str]]:
    """Yield (document, option) for each option in inline code that stands there without its command."""
    for document in documents():
        for code in INLINE.findall(document.read_text()):
            if code.startswith("--"):
                yield document.name, code.split()[0].split("=")[0]


def paths() -> Iterator[tuple[str, Path]]:
    """Yield (document, path) for each path of the repository that inline code or a link names."""
    top_level = {path.name for path in ROOT.iterdir()}
    for document in documents():
        text = document.read_text()
        for markdown, html in LINK.findall(text):
            if "://" not in (link := markdown or html):
                yield document.name, document.parent / link
        for code in INLINE.findall(text):
            first = code.split()[0].rstrip("/")
            looks_like_path = "/" in first or Path(first).suffix in {".md", ".py", ".toml", ".yaml", ".ini", ".yml"}
            if not looks_like_path or first.startswith(MADE_BY_A_RUN) or PATTERN.search(first):
                continue
            if first.split("/")[0] in top_level or "/" not in first:
                yield document.name, ROOT / first


def exists(path: Path) -> bool:
    """Say whether the path is there; a bare file name may lie anywhere, since the text around it says where."""
    return path.exists() or (path.parent == ROOT and any(map(_is_ours, ROOT.glob(f"[a-z]*/**/{path.name}"))))


def _code(text: str) -> Iterator[str]:
    for block in FENCED.findall(text):
        yield from block.splitlines()[1:-1]
    rest = FENCED.sub("", text)
    yield from INLINE.findall(rest)
    yield from INDENTED.findall(rest)


def _command(document: Path, arguments: str) -> Command:
    words = [word.strip("[]\"'") for word in arguments.split()]
    names = []
    for word in words:
        if not re.fullmatch(r"[a-z][a-z-]*", word):
            break
        names.append(word)
    options = (re.match(r"(?:ARGS=.)?(--[a-z][a-z-]*)", word) for word in words)
    return Command(document.name, tuple(names), tuple(found[1] for found in options if found))


def _is_ours(path: Path) -> bool:
    return "node_modules" not in path.parts
