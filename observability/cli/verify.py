"""`plumb verify`: check the invariants of a running platform."""

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from observability.invariants.quiescence import DEAD_LETTERS, NotQuiet, wait_for_quiet
from observability.invariants.target import Check, InvariantChecks, VerifyTarget
from observability.invariants.verification import verify as verify_target
from observability.load.target import find_endpoints
from services.local.platform.endpoints import Endpoints

_EXIT_VIOLATED = 1


def verify(
    *,
    endpoints: Annotated[
        Path | None, typer.Option(help="Endpoints file. Default: that of the platform started last.")
    ] = None,
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds to wait at most until nothing is in flight; 0: check under load.")
    ] = 30.0,
    json_path: Annotated[Path | None, typer.Option("--json", help="File for the result, as JSON.")] = None,
) -> None:
    """Check the invariants I1 to I8 over the databases and the event log of a running platform.

    Waits until nothing is in flight: then every order must be complete. With --wait 0 it checks only what holds at any
    time, also under load, and lists what it left out.

    Exit codes: 0 all hold, 1 one is violated, 2 the platform could not be read, or orders stayed in flight.
    """
    checked = asyncio.run(_verify(find_endpoints(endpoints), wait))
    if json_path:
        json_path.write_text(json.dumps({"holds": checked.holds, **asdict(checked)}, indent=2) + "\n")
    show(checked, Console(highlight=False))
    raise typer.Exit(0 if checked.holds else _EXIT_VIOLATED)


async def _verify(platform: Endpoints, wait_seconds: float) -> InvariantChecks:
    target = VerifyTarget(
        databases=platform.databases,
        event_log_url=platform.event_log_url,
        shard_event_log_urls=platform.shard_event_log_urls,
        event_log_allow_unsafe_sync=platform.event_log_allow_unsafe_sync,
        notifications_directory=Path(platform.notifications_directory),
        quiet=wait_seconds > 0,
    )
    if target.quiet:
        try:
            await wait_for_quiet(target, timeout_seconds=wait_seconds)
        except NotQuiet as error:
            if error.left.keys() != {DEAD_LETTERS}:  # These are reported one by one.
                raise
    return await verify_target(target)


def show(checked: InvariantChecks, console: Console) -> None:
    """Print each invariant with its counts, then the violations that it lists, then what was not checked."""
    table = Table("", "invariant", "counted", "violations", box=None, pad_edge=False)
    for column in table.columns[2:]:
        column.justify = "right"
    for check in checked.checks:
        colour = "red" if check.violation_count else "green"
        figures = (f"{check.counted:,}", f"[{colour}]{check.violation_count:,}[/]")
        table.add_row(check.name, escape(check.sentence), *figures)
    console.print(table)
    for check in checked.checks:
        show_violations(check, console)
    if left_out := [f"{check.name} {check.skipped}" for check in checked.checks if check.skipped]:
        console.print("Not checked under load:", *left_out, sep="\n  ", markup=False, soft_wrap=True)


def show_violations(check: Check, console: Console) -> None:
    """Print the violations that one invariant lists, and how many more there are."""
    for violation in check.violations:
        console.print(f"{check.name}: {violation}", markup=False, soft_wrap=True)
    if more := check.violation_count - len(check.violations):
        console.print(f"{check.name}: and {more:,} more")
