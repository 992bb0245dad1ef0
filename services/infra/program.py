"""The command line of a runnable: its errors as one plain line where a person can mend the cause."""

import sys
from collections.abc import Callable

import asyncpg

from services.infra.migrations import MigrationChanged
from services.infra.settings import BadSettings


def main(name: str, command: Callable[[list[str]], None]) -> None:
    """Run a command line; end with one plain line on standard error where a person can mend the cause."""
    try:
        command(sys.argv[1:])
    except BadSettings as error:
        sys.exit(f"{name}: bad settings: {error}")
    except MigrationChanged as error:
        sys.exit(f"{name}: migration {error} was applied with another text; write a new migration instead")
    except asyncpg.PostgresError as error:
        sys.exit(f"{name}: the database refused: {error}; check its DSN, and that its migrations have run")
    except OSError as error:  # TimeoutError is one of them, and has no text
        sys.exit(f"{name}: {str(error) or 'timed out'}; check that the database is up, and that the address is free")
