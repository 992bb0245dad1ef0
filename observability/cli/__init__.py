"""`plumb`, the command line: one file a command, registered here."""

import typer

from observability.cli import (
    bench_endpoint,
    bench_overload,
    bench_read_model,
    bench_rejection,
    bench_relay,
    bench_telemetry,
    chaos,
    deadletters,
    demo,
    diagnose,
    drill,
    lab,
    load,
    projection,
    proxy,
    up,
    verify,
)

main = typer.Typer(
    name="plumb",
    help="Run a fully observed shop on this machine, load it, and measure where its time goes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


main.command("demo")(demo.demo)
main.command("up")(up.up)
main.command("load")(load.load)
main.command("proxy")(proxy.proxy)
main.command("verify")(verify.verify)
main.command("drill")(drill.drill_command)
main.command("diagnose")(diagnose.diagnose_command)
main.add_typer(lab.commands, name="lab")
main.command("bench-telemetry")(bench_telemetry.bench_telemetry)
main.command("bench-endpoint")(bench_endpoint.bench_endpoint)
main.command("bench-relay")(bench_relay.bench_relay)
main.command("bench-overload")(bench_overload.bench_overload)
main.command("bench-rejection")(bench_rejection.bench_rejection)
main.command("bench-read-model")(bench_read_model.bench_read_model)
main.add_typer(chaos.commands, name="chaos")
main.add_typer(projection.commands, name="projection")
main.add_typer(deadletters.commands, name="deadletters")
