"""Command-line entry of each program: expected errors end it with one line that says what to do."""

import sys
from collections.abc import Callable

import asyncpg

from services.infra.migrations import MigrationChanged
from services.infra.settings import BadSettings


def main(name: str, command: Callable[[list[str]], None]) -> None:
    """Run a command line; exit with one line on standard error for errors that the operator can correct."""
    try:
        command(sys.argv[1:])
    except BadSettings as error:
        sys.exit(f"{name}: bad settings: {error}")
    except MigrationChanged as error:
        sys.exit(
            f"{name}: migration {error} was changed after it was applied; restore it and write a new migration instead"
        )
    except asyncpg.PostgresError as error:
        sys.exit(f"{name}: the database returned an error: {error}; check its DSN, and that its migrations have run")
    except OSError as error:  # includes TimeoutError, which has no text
        sys.exit(f"{name}: {str(error) or 'timed out'}; check that the database is up, and that the address is free")
