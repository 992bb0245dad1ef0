"""Faults of one process: it dies, stands still, stumbles, is flooded, or its mail client is at fault."""

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
from services.local.servers.ports import local_address

# More than a pool has.
FLOOD_CONNECTIONS = 24
# A core that is shared by four leaves a scrape time enough to be answered, if only few ask beside it.
HOGS = 3
FEW_CONNECTIONS = 4
# Enough that a request always waits, and well below what the admin listener takes of an address: Prometheus, which
# comes from the same one, must be let in and answered.
ADMIN_CONNECTIONS = 8
# More than the places that the edge has for reads; those that are turned away come again after a pause.
READERS = 24
READ_EVERY_SECONDS = 0.25
STUMBLE_SECONDS = 0.25
ABANDONED = 60


def killed(name: str) -> Begin:
    """It dies and is not started again."""

    @asynccontextmanager
    async def begin(scene: FaultContext) -> AsyncIterator[None]:
        await scene.group.kill(name)
        try:
            yield
        finally:
            await scene.group.start_ready(name)

    return begin


@asynccontextmanager
async def receiver_stands_still(scene: FaultContext) -> AsyncIterator[None]:
    """Whoever takes the spans takes none, and does not say no."""
    receiver = scene.group.foundation.launcher.processes["receiver"]
    os.kill(receiver.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(receiver.pid, signal.SIGCONT)


def cpu_stall(name: str) -> Begin:
    """It stands still for a quarter of a second, twice a second, as under a hypervisor that gives it no time."""

    @asynccontextmanager
    async def begin(scene: FaultContext) -> AsyncIterator[None]:
        life = scene.group.handles[name]

        async def stumble() -> None:
            while True:
                life.send(signal.SIGSTOP)
                await asyncio.sleep(STUMBLE_SECONDS)
                life.send(signal.SIGCONT)
                await asyncio.sleep(STUMBLE_SECONDS)

        async with background_task(stumble()):
            try:
                yield
            finally:
                life.send(signal.SIGCONT)

    return begin


def flooded(name: str) -> Begin:
    """Somebody reads its metrics as fast as it gives them, which needs all of its core."""

    @asynccontextmanager
    async def begin(scene: FaultContext) -> AsyncIterator[None]:
        async with _asking(f"http://{scene.group.admin_address(name)}/metrics", connections=ADMIN_CONNECTIONS):
            yield

    return begin


def cpu_contention(name: str) -> Begin:
    """It has work to do, on a core that others fill."""

    @asynccontextmanager
    async def begin(scene: FaultContext) -> AsyncIterator[None]:
        pid, before = scene.group.handles[name].pid, os.sched_getaffinity(scene.group.handles[name].pid)
        core = min(before)
        _pin(pid, {core})
        async with AsyncExitStack() as stack:
            for _ in range(HOGS):
                # Each of a session of its own: the kernel may share a core by sessions.
                hog = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-c", "while True: pass"), stdout=DEVNULL, start_new_session=True
                )
                stack.push_async_callback(_end, hog)
                os.sched_setaffinity(hog.pid, {core})
            url = f"http://{scene.group.admin_address(name)}/metrics"
            await stack.enter_async_context(_asking(url, connections=FEW_CONNECTIONS))
            try:
                yield
            finally:
                _pin(pid, before)

    return begin


@asynccontextmanager
async def lists_behind_a_lock(scene: FaultContext) -> AsyncIterator[None]:
    """The table of the lists is locked while customers ask for theirs: all connections of its pool wait."""
    url = f"http://{local_address(scene.group.ports.edge_http)}/customers/{{}}/orders"
    async with scene.administering("order_read") as connection, connection.transaction():
        await connection.execute("LOCK TABLE order_summaries IN ACCESS EXCLUSIVE MODE")
        customer = str(uuid.uuid4())
        async with _asking(url.format(customer), headers={"X-Customer-Id": customer}):
            yield


@asynccontextmanager
async def orders_behind_a_lock(scene: FaultContext) -> AsyncIterator[None]:
    """The table of orders is locked while more customers look at an order than the edge has places for, at any load."""
    url = f"http://{local_address(scene.group.ports.edge_http)}/orders/{uuid.uuid4()}"
    headers = {"X-Customer-Id": str(uuid.uuid4())}
    asking = _asking(url, headers=headers, connections=READERS, pause_seconds=READ_EVERY_SECONDS)
    async with locked("order", "orders")(scene), asking:
        yield


@asynccontextmanager
async def reservations_abandoned(scene: FaultContext) -> AsyncIterator[None]:
    """Somebody sets stock aside again and again, and neither sells nor releases it."""
    async with scene.administering("inventory") as connection:
        sku = await connection.fetchval("SELECT sku FROM items WHERE on_hand - reserved > $1 LIMIT 1", 10 * ABANDONED)

    async def abandon() -> None:
        async with scene.group.stock() as stock:
            while True:
                reservation_id = uuid.uuid4()
                await stock.reserve_stock(ReserveStock(str(reservation_id), reservation_id, (StockLine(sku, 1),)))
                await asyncio.sleep(1 / ABANDONED * 10)

    async with background_task(abandon()):
        yield


@asynccontextmanager
async def mail_folder_gone(scene: FaultContext) -> AsyncIterator[None]:
    """Where confirmations go there is a file instead of a folder, as when a mount is missing."""
    folder = scene.group.foundation.options.notifications_directory
    aside = folder.with_name(f"{folder.name}.aside")
    folder.rename(aside)
    folder.touch()
    try:
        yield
    finally:
        folder.unlink()
        aside.rename(folder)


@asynccontextmanager
async def mail_client_cancels(scene: FaultContext) -> AsyncIterator[None]:
    """Notification's mail client lets out a cancellation that its caller did not ask for: its worker ends."""
    async with restarted(scene, "notification", DRILL_MAIL="cancels"):
        yield


@asynccontextmanager
async def mail_client_leaks(scene: FaultContext) -> AsyncIterator[None]:
    """Notification's mail client keeps the buffer of each message that it has sent; only a restart frees them."""
    async with restarted(scene, "notification", DRILL_MAIL="leaks"):
        yield


@asynccontextmanager
async def _asking(
    url: str,
    *,
    headers: dict[str, str] | None = None,
    connections: int = FLOOD_CONNECTIONS,
    pause_seconds: float = 0.0,
) -> AsyncIterator[None]:
    """Ask one address again and again over many connections, for the time of a block; answers are thrown away.

    Each connection pauses after an answer.
    """
    timeout = aiohttp.ClientTimeout(total=10)

    async def ask(session: aiohttp.ClientSession) -> None:
        while True:
            with suppress(aiohttp.ClientError, TimeoutError):  # a refusal is what the fault is about
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
