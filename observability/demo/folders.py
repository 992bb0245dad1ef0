"""Folders and files of a demo: one folder for each run, and atomic writes."""

import secrets
import shutil
import time
from pathlib import Path

from observability.demo.options import DemoError
from services.infra.atomic_file import write_atomically


def make_run_directory(output: Path) -> Path:
    """Make a new folder for one run, named by its start in UTC; raises DemoError."""
    directory = output / f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"
    try:
        directory.mkdir(parents=True)
    except OSError as error:
        raise DemoError(f"cannot write in {output}: {error.strerror}; choose another folder with --output") from error
    return directory


def remove_run_directory(directory: Path) -> None:
    """Remove the files of an interrupted run; errors are ignored."""
    shutil.rmtree(directory, ignore_errors=True)


def write_file(path: Path, content: bytes) -> None:
    """Write or replace a file atomically; raises DemoError."""
    try:
        write_atomically(path, content)
    except OSError as error:
        raise DemoError(f"cannot write {path}: {error.strerror}") from error
