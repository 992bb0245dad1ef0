"""A process whose drain hangs ends within one limit for all steps, with a log event."""

import subprocess
import sys
import textwrap

import pytest

from tests.patience import PATIENCE_SECONDS

# One part of its end hangs for far longer than a test waits; the signal comes as soon as it is ready.
HANGING = textwrap.dedent(
    """
    import asyncio, os, signal, sys, threading, time
    from services.infra import lifecycle
    from services.infra.readiness import Readiness
    from services.infra.settings import RunnableSettings

    part = sys.argv[1]

    class Hanging:
        async def start(self):
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
            return {}

        async def announce_drain(self):
            pass

        async def stop(self, *, grace_seconds):
            if part == "server":
                await asyncio.sleep(3600)
            if part == "loop":
                time.sleep(3600)

    async def body(runtime):
        settings = RunnableSettings(drain_limit_seconds=1.0)
        await lifecycle.serve(
            [Hanging()], readiness=Readiness({}), settings=settings, log=runtime.log, outputs=runtime.outputs
        )
        if part == "closing":
            await asyncio.sleep(3600)

    lifecycle.run("hanging", RunnableSettings(), body)
    """
)


@pytest.mark.parametrize(
    ("part", "code"),
    [
        ("server", 1),
        pytest.param("loop", 1, marks=pytest.mark.full),
        pytest.param("closing", 1, marks=pytest.mark.full),
        pytest.param("none", 0, id="nothing hangs"),
    ],
)
def test_all_steps_of_the_end_share_one_limit(part: str, code: int) -> None:
    """Their own limits add up: 43 s where compose kills after 25."""
    ended = subprocess.run(
        [sys.executable, "-c", HANGING, part], capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert ended.returncode == code, ended.stderr
    assert ("process.drain_cut_off" in ended.stdout) == bool(code)
