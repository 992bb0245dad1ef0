"""Environment record of a trial: hardware and versions, without the names of the machine or its user."""

import platform
import subprocess
from importlib.metadata import version

from observability.experiments.runner.errors import TrialError
from observability.experiments.runner.testbed import memory_with_room, platform_cpus
from observability.testbed.environment import describe_hardware
from services.local.servers.postgres_binaries import find_postgres_binaries

_TIMEOUT_SECONDS = 10.0


def describe_machine() -> dict[str, str]:
    """Return hardware and versions by name. Raises TrialError, and LocalError without PostgreSQL."""
    return {
        "Plumbline": version("plumbline"),
        "Python": platform.python_version(),
        "PostgreSQL": _postgres_version(),
        "databases": "in memory" if memory_with_room() else "on the disk",
        **describe_hardware(platform_cpus=platform_cpus()),
    }


def _postgres_version() -> str:
    """Return the version from the program's output, `postgres (PostgreSQL) 18.6`."""
    program = find_postgres_binaries().postgres
    try:
        said = subprocess.run(
            [program, "--version"], capture_output=True, check=True, text=True, timeout=_TIMEOUT_SECONDS
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise TrialError(f"cannot read the version of PostgreSQL: {error}") from error
    return said.stdout.strip().rpartition(") ")[2]
