"""Blind diagnosis: runs `plumb diagnose` in a process of its own, with the observation's folder as its only input."""

import asyncio
import sys
from pathlib import Path

from observability.experiments.runner.errors import TrialError

DIAGNOSE_SECONDS = 300.0
_PROGRAM = "from observability.cli import main; main()"
_FAILED = 3


async def diagnose_blindly(observation: Path) -> bytes:
    """Return the output of `plumb diagnose --json` for a folder. Raises TrialError."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _PROGRAM, "diagnose", "--json", str(observation)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(DIAGNOSE_SECONDS):
            said, complained = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if process.returncode is None or process.returncode >= _FAILED:
        raise TrialError(f"the diagnosis failed: {complained.decode(errors='replace').strip()}")
    return said
