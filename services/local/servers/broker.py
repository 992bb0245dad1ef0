"""How does the NATS server of a run go down and come back as the same server, with its streams or without them?"""

import asyncio
import shutil
import signal
from contextlib import AsyncExitStack
from dataclasses import replace

from services.local.processes.guarded_process import GuardedProcess
from services.local.processes.process_watch import Watch
from services.local.servers.nats import EmbeddedNats, NatsStart, start_nats

KILL_SECONDS = 5.0


class Broker:
    """A server of our own that can be killed and wiped; the watch takes neither for a failure."""

    def __init__(self, start: NatsStart, server: EmbeddedNats, *, stack: AsyncExitStack, watch: Watch) -> None:
        # Started again it must be found where it was: same port, password and name.
        self._start = replace(start, port=server.port)
        self._server = server
        self._stack = stack
        self._watch = watch
        self._changing = asyncio.Lock()
        watch.add(server.process)

    @property
    def process(self) -> GuardedProcess:
        """The process that serves now."""
        return self._server.process

    @property
    def port(self) -> int:
        """Where clients connect, on the loopback."""
        return self._server.port

    @property
    def url(self) -> str:
        """The address for clients, with its password."""
        return self._server.url

    @property
    def syncs_always(self) -> bool:
        """Whether all that it acknowledges is on disk."""
        return self._server.syncs_always

    async def kill_and_restart(self) -> None:
        """Ends it by SIGKILL and starts it on what it had written; raises LocalError."""
        async with self._changing:
            await self.process.end_by(signal.SIGKILL, limit_seconds=KILL_SECONDS)
            await self._start_again()

    async def wipe(self) -> None:
        """Stops it, takes every stream from it and starts it again; raises LocalError. Two at once take turns."""
        async with self._changing:
            await self.process.stop()
            await asyncio.to_thread(shutil.rmtree, self._server.store_directory)
            await self._start_again()

    async def _start_again(self) -> None:
        self._server = await start_nats(self._start, stack=self._stack)
        self._watch.add(self._server.process)


async def start_broker(start: NatsStart, *, stack: AsyncExitStack, watch: Watch) -> Broker:
    """Starts a server and waits until it answers; `stack` stops it. Raises what start_nats raises."""
    # One place in the order of ends for every process that it will be.
    own = await stack.enter_async_context(AsyncExitStack())
    return Broker(start, await start_nats(start, stack=own), stack=own, watch=watch)
