"""Cache of programs built for tests, kept between runs: a folder each, named after a hash of the build's inputs."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "plumbline"
DIGITS = 16


def kept(name: str, ingredients: str, make: Callable[[Path], None]) -> Path:
    """Return the folder of `name`, filled by `make` unless the same ingredients filled it before.

    It is filled aside and moved into place whole, so that a run that is cut off leaves no half. Workers that need the
    same program wait for the first of them, whose build has a time limit.
    """
    folder = CACHE / f"{name}-{sha256(ingredients.encode()).hexdigest()[:DIGITS]}"
    if folder.exists():
        return folder
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _fill(folder, name, make)
    return folder


def _fill(folder: Path, name: str, make: Callable[[Path], None]) -> None:
    draft = Path(tempfile.mkdtemp(prefix=f"{name}-draft-", dir=CACHE))
    try:
        make(draft)
        draft.chmod(0o755)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
