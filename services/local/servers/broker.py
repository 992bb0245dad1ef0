"""NATS server of a run that tests can kill, wipe and restart at the same address."""

import asyncio
import shutil
import signal
from contextlib import AsyncExitStack
from dataclasses import replace

from services.local.processes.child_process import ChildProcess
from services.local.processes.process_watch import Watch
from services.local.servers.nats import EmbeddedNats, NatsStart, start_nats

KILL_SECONDS = 5.0


class Broker:
    """An embedded server that can be killed and wiped; the watch does not report either as a failure."""

    def __init__(self, start: NatsStart, server: EmbeddedNats, *, stack: AsyncExitStack, watch: Watch) -> None:
        # After a restart clients must find it again: same port, password and name.
        self._start = replace(start, port=server.port)
        self._server = server
        self._stack = stack
        self._watch = watch
        self._changing = asyncio.Lock()
        watch.add(server.process)

    @property
    def process(self) -> ChildProcess:
        """The current process of the server."""
        return self._server.process

    @property
    def port(self) -> int:
        """Port of the server on the loopback."""
        return self._server.port

    @property
    def url(self) -> str:
        """URL for clients, with the password."""
        return self._server.url

    @property
    def syncs_always(self) -> bool:
        """Whether the server syncs a message to disk before it acknowledges it."""
        return self._server.syncs_always

    async def kill_and_restart(self) -> None:
        """Kill the server by SIGKILL and restart it on its data. Raises LocalError."""
        async with self._changing:
            await self.process.end_by(signal.SIGKILL, limit_seconds=KILL_SECONDS)
            await self._start_again()

    async def wipe(self) -> None:
        """Stop the server, delete its streams and restart it. Raises LocalError. Concurrent calls take turns."""
        async with self._changing:
            await self.process.stop()
            await asyncio.to_thread(shutil.rmtree, self._server.store_directory)
            await self._start_again()

    async def _start_again(self) -> None:
        self._server = await start_nats(self._start, stack=self._stack)
        self._watch.add(self._server.process)


async def start_broker(start: NatsStart, *, stack: AsyncExitStack, watch: Watch) -> Broker:
    """Start a server and wait until it answers; `stack` stops it. Raises the errors of start_nats."""
    # One entry in the stack for all processes of the server, so that a restart does not change the order of stops.
    own = await stack.enter_async_context(AsyncExitStack())
    return Broker(start, await start_nats(start, stack=own), stack=own, watch=watch)
