"""`plumb up` with stand-ins: python -m tests.integration.local.up_with_stand_ins PORT_BASE FOLDER BUS."""

import sys
from pathlib import Path

from pydantic import TypeAdapter

from observability.cli.up import UpCommand
from services.local.platform.endpoints import Bus
from services.local.platform.plan import MODULES, PlatformOptions


def main() -> int:
    """Runs the command as the command line would."""
    port_base, folder, bus = int(sys.argv[1]), Path(sys.argv[2]), TypeAdapter(Bus).validate_python(sys.argv[3])
    options = PlatformOptions(
        run_directory=folder / str(port_base),
        port_base=port_base,
        bus=bus,
        modules=dict.fromkeys(MODULES, "tests.integration.local.stand_in"),
    )
    return UpCommand(options, endpoints_path=folder / f"{port_base}.json", after_start=None).run()


if __name__ == "__main__":
    sys.exit(main())
