"""`plumb`, the command line: one file a command, named here and imported when it is called."""

from importlib.metadata import version
from typing import Annotated, ClassVar

import typer

from observability.cli.group import CommandEntry, LazyGroup, new_app

_RUN = "Run"
_LOAD = "Load"
_DIAGNOSE = "Diagnose and experiment"
_BREAK = "Break"
_OPERATE = "Operate"
_BENCH = "Bench"


class Plumb(LazyGroup):
    """All commands, in the order in which a newcomer meets them."""

    entries: ClassVar = {
        "demo": CommandEntry(
            "observability.cli.demo:demo",
            "Start the platform, place orders at a steady rate, show what was measured, and stop everything.",
            _RUN,
        ),
        "up": CommandEntry("observability.cli.up:up", "Start the platform and leave it running until Ctrl-C.", _RUN),
        "load": CommandEntry(
            "observability.cli.load:load",
            "Place orders at a steady rate and measure the latency of each, counted from when it was due.",
            _LOAD,
        ),
        "diagnose": CommandEntry(
            "observability.cli.diagnose:diagnose_command",
            "Name the bottleneck of a system from its traces: its class, its place, the evidence, and what a fix "
            "gains.",
            _DIAGNOSE,
            failed=3,
        ),
        "lab": CommandEntry(
            "observability.cli.lab:commands",
            "Run experiments: diagnose a known bottleneck, predict what its fix gains, apply it, and measure again.",
            _DIAGNOSE,
            failed=3,
        ),
        "trace": CommandEntry(
            "observability.cli.trace:trace_command",
            "Draw a trace as a waterfall: what ran when, and in which service.",
            _DIAGNOSE,
            failed=2,
        ),
        "traces": CommandEntry(
            "observability.cli.traces:commands", "Send recorded traces to Jaeger or another endpoint.", _DIAGNOSE
        ),
        "chaos": CommandEntry(
            "observability.cli.chaos:commands",
            "Start a platform, break it in a named way, and check that no data is lost, duplicated or stuck.",
            _BREAK,
            failed=2,
        ),
        "drill": CommandEntry(
            "observability.cli.drill:drill_command",
            "Inject a fault for each alert, and measure how long Alertmanager takes to report and to clear it.",
            _BREAK,
            failed=2,
        ),
        "proxy": CommandEntry(
            "observability.cli.proxy:proxy",
            "Forward TCP connections with added latency, limited bandwidth or a fault, until Ctrl-C.",
            _BREAK,
        ),
        "verify": CommandEntry(
            "observability.cli.verify:verify",
            "Check the invariants I1 to I8 over the databases and the event log of a running platform.",
            _OPERATE,
            failed=2,
        ),
        "deadletters": CommandEntry(
            "observability.cli.deadletters:commands",
            "List and replay events that could not be consumed, and sagas that could not complete.",
            _OPERATE,
        ),
        "projection": CommandEntry(
            "observability.cli.projection:commands", "Rebuild the list of orders that customers read.", _OPERATE
        ),
        "shards": CommandEntry(
            "observability.cli.shards:commands",
            "List the servers of orders, move logical shards between them, and check where orders are.",
            _OPERATE,
            failed=2,
        ),
        "bench": CommandEntry("observability.cli.bench:commands", "Measure what one mechanism costs or gains.", _BENCH),
    }


main = new_app(cls=Plumb, name="plumb")


def _print_version(asked: bool) -> None:  # noqa: FBT001 - Typer's way to call it
    if asked:
        typer.echo(f"plumb {version('plumbline')}")
        raise typer.Exit


@main.callback()
def plumb(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Run a fully observed shop on this machine, load it, and measure where its time goes."""
