"""Atomic file writes: a reader finds either the previous content or all of the new content."""

import os
import secrets
from pathlib import Path

import orjson


def write_atomically(path: Path, content: bytes, *, mode: int = 0o666) -> None:
    """Write or replace a file, and make its folder; `mode` is the file's, before the umask. Raises OSError."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    if not path.parent.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_json(path: Path, document: object) -> None:
    """Write or replace a file of indented JSON. Raises OSError."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS
    write_atomically(path, orjson.dumps(document, option=options))
