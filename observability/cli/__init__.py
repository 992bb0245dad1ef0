"""`plumb`, the command line: one file a command, named here and imported when it is called."""

from importlib.metadata import version
from typing import Annotated, ClassVar

import typer

from observability.cli.group import CommandEntry, LazyGroup, new_app


class Plumb(LazyGroup):
    """All commands, in the order in which a newcomer meets them."""

    entries: ClassVar = {
        "demo": CommandEntry(
            "observability.cli.demo:demo",
            "Start the platform, place orders at a steady rate, show what was measured, and stop everything.",
        ),
        "up": CommandEntry("observability.cli.up:up", "Start the platform and leave it running until Ctrl-C."),
        "load": CommandEntry(
            "observability.cli.load:load",
            "Place orders at a steady rate and say how long customers wait, counted from when each order was due.",
        ),
        "proxy": CommandEntry(
            "observability.cli.proxy:proxy",
            "Pass TCP connections on as a slower network does, or a broken one, until Ctrl-C.",
        ),
        "verify": CommandEntry(
            "observability.cli.verify:verify",
            "Check the invariants I1 to I8 over the databases and the event log of a running platform.",
        ),
        "drill": CommandEntry(
            "observability.cli.drill:drill_command",
            "Break a platform of its own in one way after the other, and wait for the alert through Alertmanager.",
        ),
        "diagnose": CommandEntry(
            "observability.cli.diagnose:diagnose_command",
            "Name the bottleneck of what was observed: its class, where it is, on what evidence, and what a fix would "
            "gain.",
        ),
        "lab": CommandEntry(
            "observability.cli.lab:commands",
            "Observe, name the bottleneck, predict what its fix gains, apply it, and measure again.",
        ),
        "bench-telemetry": CommandEntry(
            "observability.cli.bench_telemetry:bench_telemetry",
            "Measure CPU a request of the order and inventory processes with telemetry on, off, and without each part.",
        ),
        "bench-endpoint": CommandEntry(
            "observability.cli.bench_endpoint:bench_endpoint",
            "Measure goodput with an OTLP endpoint that is down, slow or swallows everything, beside one that "
            "collects.",
        ),
        "bench-relay": CommandEntry(
            "observability.cli.bench_relay:bench_relay",
            "Measure the events a second that the relay moves from an outbox to a log in another database, beside a "
            "floor.",
        ),
        "bench-overload": CommandEntry(
            "observability.cli.bench_overload:bench_overload",
            "Ask the platform for 2, 5 and 10 times as much as it can do, with its guards and without.",
        ),
        "bench-rejection": CommandEntry(
            "observability.cli.bench_rejection:bench_rejection",
            "Measure what one refusal costs in each layer, beside the same request where it is answered.",
        ),
        "bench-read-model": CommandEntry(
            "observability.cli.bench_read_model:bench_read_model",
            "Measure the time of a page of ListOrders, the first and a deep one, in a small and a big read model by "
            "turns.",
        ),
        "trace": CommandEntry(
            "observability.cli.trace:trace_command",
            "Draw a trace as a waterfall: what ran when, and in which service.",
        ),
        "traces": CommandEntry(
            "observability.cli.traces:commands", "Recorded traces: send them to Jaeger or another endpoint."
        ),
        "chaos": CommandEntry(
            "observability.cli.chaos:commands",
            "Break a platform of its own in a named way, and check that nothing is lost, doubled or stuck.",
        ),
        "projection": CommandEntry("observability.cli.projection:commands", "The list of orders that customers read."),
        "deadletters": CommandEntry(
            "observability.cli.deadletters:commands",
            "Events that could not be consumed, and orders that could not come to their end.",
        ),
    }


main = new_app(cls=Plumb)


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
