"""`plumb up` with stand-ins: python -m tests.integration.local.up_with_stand_ins PORT_BASE FOLDER BUS."""

import sys
from pathlib import Path

import typer
from pydantic import TypeAdapter

from observability.cli.group import new_app
from observability.cli.up import UpCommand
from services.local.platform.endpoints import Bus
from services.local.platform.plan import MODULES, PlatformOptions

plumb = new_app()
plumb.callback()(lambda: None)


@plumb.command()
def up() -> None:
    """Run the command as the command line would."""
    port_base, folder, bus = int(sys.argv[1]), Path(sys.argv[2]), TypeAdapter(Bus).validate_python(sys.argv[3])
    options = PlatformOptions(
        run_directory=folder / str(port_base),
        port_base=port_base,
        bus=bus,
        modules=dict.fromkeys(MODULES, "tests.integration.local.stand_in"),
    )
    raise typer.Exit(UpCommand(options, endpoints_path=folder / f"{port_base}.json", after_start=None).run())


if __name__ == "__main__":
    plumb(["up"], prog_name="plumb")
