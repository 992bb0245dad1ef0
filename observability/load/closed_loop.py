"""Closed loop: each of a fixed number of customers waits for the answer before it sends its next order.

It measures throughput and not the latency that customers see: a slow answer delays the orders behind it, and that delay
is in no recorded latency (coordinated omission).
"""

import asyncio
import math
from collections.abc import Iterator

from observability.load.orders import PlannedOrder
from observability.load.recorder import Run

_PROGRESS_EVERY_SECONDS = 0.5


async def drive(run: Run, *, concurrency: int, until_seconds: float = math.inf) -> None:
    """Send the orders in plan order, at most `concurrency` at a time; a stop cancels the requests in flight.

    No order is sent later than `until_seconds` after the start; the answers to those in flight are waited for.
    """
    waiting = iter(run.plan)
    stopped = asyncio.create_task(run.stop.wait())
    workers = {asyncio.create_task(_customer(run, waiting, until_seconds)) for _ in range(concurrency)}
    try:
        while (busy := {worker for worker in workers if not worker.done()}) and not run.stop.is_set():
            await asyncio.wait({*busy, stopped}, timeout=_PROGRESS_EVERY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            run.report_progress()
    finally:
        stopped.cancel()
        for worker in workers:
            worker.cancel()
    for ended in await asyncio.gather(*workers, return_exceptions=True):
        run.note_failure(ended)


async def _customer(run: Run, waiting: Iterator[PlannedOrder], until_seconds: float) -> None:
    for order in waiting:
        if run.now_seconds() >= until_seconds:
            return
        await run.place(order, due_now=True)
