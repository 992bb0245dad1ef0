"""Faults of one process: it is killed, paused, starved of CPU, flooded, or has a faulty mail client."""

import asyncio
import os
import signal
import sys
import uuid
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import aiohttp

from observability.alert_drill.fault_context import Begin, FaultContext
from observability.alert_drill.faults.database import locked
from observability.alert_drill.faults.rpc import restarted
from observability.testbed.background_task import background_task
from services.inventory.api import ReserveStock, StockLine
from services.kernel.errors import ServiceError
from services.local.servers.ports import local_address

# More than the connections of a pool.
FLOOD_CONNECTIONS = 24
# On a core shared by four processes a scrape is still answered in time, if there are few other requests.
BUSY_PROGRAMS = 3
FEW_CONNECTIONS = 4
# Enough that a request always waits, and well below the admin listener's limit for an address: Prometheus connects from
# the same address, and must be accepted.
ADMIN_CONNECTIONS = 8
# More than the edge's slots for reads; rejected readers repeat after a pause.
READERS = 24
READ_EVERY_SECONDS = 0.25
STALL_SECONDS = 0.25
ABANDONED = 60


def killed(name: str) -> Begin:
    """Return a fault that kills a process and starts it again only at the end."""

    @asynccontextmanager
    async def begin(context: FaultContext) -> AsyncIterator[None]:
        await context.group.kill(name)
        try:
            yield
        finally:
            await context.group.start_ready(name)

    return begin


@asynccontextmanager
async def receiver_paused(context: FaultContext) -> AsyncIterator[None]:
    """Pause the receiver of the spans (SIGSTOP), so that exports neither succeed nor fail at once."""
    receiver = context.group.foundation.launcher.processes["receiver"]
    os.kill(receiver.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(receiver.pid, signal.SIGCONT)


def cpu_stall(name: str) -> Begin:
    """Return a fault that pauses a process for a quarter of a second, twice a second, like CPU steal."""

    @asynccontextmanager
    async def begin(context: FaultContext) -> AsyncIterator[None]:
        handle = context.group.handles[name]

        async def stall() -> None:
            while True:
                handle.send(signal.SIGSTOP)
                await asyncio.sleep(STALL_SECONDS)
                handle.send(signal.SIGCONT)
                await asyncio.sleep(STALL_SECONDS)

        async with background_task(stall()):
            try:
                yield
            finally:
                handle.send(signal.SIGCONT)

    return begin


def flooded(name: str) -> Begin:
    """Return a fault that reads a process's metrics without a pause, which saturates its core."""

    @asynccontextmanager
    async def begin(context: FaultContext) -> AsyncIterator[None]:
        async with _repeated_reads(
            f"http://{context.group.admin_address(name)}/metrics", connections=ADMIN_CONNECTIONS
        ):
            yield

    return begin


def cpu_contention(name: str) -> Begin:
    """Return a fault that pins a busy process to a core with three other busy programs."""

    @asynccontextmanager
    async def begin(context: FaultContext) -> AsyncIterator[None]:
        pid, before = context.group.handles[name].pid, os.sched_getaffinity(context.group.handles[name].pid)
        core = min(before)
        _pin(pid, {core})
        async with AsyncExitStack() as stack:
            for _ in range(BUSY_PROGRAMS):
                # Each in its own session: the kernel may divide a core by sessions (autogroup).
                busy = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-c", "while True: pass"), stdout=DEVNULL, start_new_session=True
                )
                stack.push_async_callback(_end, busy)
                os.sched_setaffinity(busy.pid, {core})
            url = f"http://{context.group.admin_address(name)}/metrics"
            await stack.enter_async_context(_repeated_reads(url, connections=FEW_CONNECTIONS))
            try:
                yield
            finally:
                _pin(pid, before)

    return begin


@asynccontextmanager
async def lists_behind_a_lock(context: FaultContext) -> AsyncIterator[None]:
    """Lock the table of the lists while customers read theirs, so that all connections of its pool wait."""
    url = f"http://{local_address(context.group.ports.edge_http)}/customers/{{}}/orders"
    async with context.administering("order_read") as connection, connection.transaction():
        await connection.execute("LOCK TABLE order_summaries IN ACCESS EXCLUSIVE MODE")
        customer = str(uuid.uuid4())
        async with _repeated_reads(url.format(customer), headers={"X-Customer-Id": customer}):
            yield


@asynccontextmanager
async def orders_behind_a_lock(context: FaultContext) -> AsyncIterator[None]:
    """Lock the table of orders while more customers read an order than the edge has slots, at any load."""
    url = f"http://{local_address(context.group.ports.edge_http)}/orders/{uuid.uuid4()}"
    headers = {"X-Customer-Id": str(uuid.uuid4())}
    reads = _repeated_reads(url, headers=headers, connections=READERS, pause_seconds=READ_EVERY_SECONDS)
    async with locked("order", "orders")(context), reads:
        yield


@asynccontextmanager
async def reservations_abandoned(context: FaultContext) -> AsyncIterator[None]:
    """Reserve stock repeatedly, and neither confirm nor release it."""
    async with context.administering("inventory") as connection:
        sku = await connection.fetchval("SELECT sku FROM items WHERE on_hand - reserved > $1 LIMIT 1", 10 * ABANDONED)

    async def abandon() -> None:
        async with context.group.stock() as stock:
            while True:
                reservation_id = uuid.uuid4()
                with suppress(ServiceError):  # a busy inventory may reject it
                    await stock.reserve_stock(ReserveStock(str(reservation_id), reservation_id, (StockLine(sku, 1),)))
                await asyncio.sleep(1 / ABANDONED * 10)

    async with background_task(abandon()):
        yield


@asynccontextmanager
async def mail_folder_gone(context: FaultContext) -> AsyncIterator[None]:
    """Replace the folder of the confirmations by a file, as if a mount were missing."""
    folder = context.group.foundation.options.notifications_directory
    aside = folder.with_name(f"{folder.name}.aside")
    folder.rename(aside)
    folder.touch()
    try:
        yield
    finally:
        folder.unlink()
        aside.rename(folder)


@asynccontextmanager
async def mail_client_cancels(context: FaultContext) -> AsyncIterator[None]:
    """Give notification a mail client that raises CancelledError, so that its worker ends."""
    async with restarted(context, "notification", DRILL_MAIL="cancels"):
        yield


@asynccontextmanager
async def mail_client_leaks(context: FaultContext) -> AsyncIterator[None]:
    """Give notification a mail client that leaks the buffer of each sent message until a restart."""
    async with restarted(context, "notification", DRILL_MAIL="leaks"):
        yield


@asynccontextmanager
async def _repeated_reads(
    url: str,
    *,
    headers: dict[str, str] | None = None,
    connections: int = FLOOD_CONNECTIONS,
    pause_seconds: float = 0.0,
) -> AsyncIterator[None]:
    """Read one address repeatedly over many connections during a with block, with a pause after each answer."""
    timeout = aiohttp.ClientTimeout(total=10)

    async def ask(session: aiohttp.ClientSession) -> None:
        while True:
            with suppress(aiohttp.ClientError, TimeoutError):  # the fault itself causes rejections
                async with session.get(url, headers=headers) as page:
                    await page.read()
            await asyncio.sleep(pause_seconds)

    async with (
        aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session,
        AsyncExitStack() as stack,
    ):
        for _ in range(connections):
            await stack.enter_async_context(background_task(ask(session)))
        yield


def _pin(pid: int, cpus: set[int]) -> None:
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cpus)


async def _end(process: Process) -> None:
    process.kill()
    await process.wait()
