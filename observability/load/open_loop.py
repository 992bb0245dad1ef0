"""Open loop: sends each order when it is due, without waiting for the answers before it."""

import asyncio
import contextlib
import functools
import time

from observability.load.recorder import Run

# uvloop's timers have a resolution of 1 ms: sleep until 1 ms before the order is due, then yield until it is.
_YIELD_SECONDS = 0.001
# A yield that returns this soon ran nothing else. It uses the core, but the time was free for any request.
_IDLE_YIELD_SECONDS = 0.000_005
# Drawing the progress blocks the loop for a few milliseconds, so it waits for a gap between orders, up to a limit.
_PROGRESS_EVERY_SECONDS = 0.5
_PROGRESS_GAP_SECONDS = 0.02
_PROGRESS_LATEST_SECONDS = 5.0


async def drive(run: Run) -> None:
    """Send each order when it is due, and wait for all answers; a stop cancels the requests in flight."""
    in_flight: set[asyncio.Task[None]] = set()
    progress_due_seconds = 0.0
    for order in run.plan:
        gap_seconds = order.intended_seconds - run.now_seconds()
        overdue_seconds = run.now_seconds() - progress_due_seconds
        if overdue_seconds > (0 if gap_seconds > _PROGRESS_GAP_SECONDS else _PROGRESS_LATEST_SECONDS):
            run.report_progress()
            progress_due_seconds = run.now_seconds() + _PROGRESS_EVERY_SECONDS
        await _wait_until(run, order.intended_seconds)
        if run.stop.is_set():
            break
        task = asyncio.create_task(run.place(order))
        in_flight.add(task)
        task.add_done_callback(functools.partial(_settle, run, in_flight))
    await _finish(run, in_flight)


def _settle(run: Run, in_flight: set[asyncio.Task[None]], task: asyncio.Task[None]) -> None:
    in_flight.discard(task)
    if not task.cancelled():
        run.note_failure(task.exception())


async def _wait_until(run: Run, due_seconds: float) -> None:
    remaining_seconds = due_seconds - run.now_seconds()
    if remaining_seconds > _YIELD_SECONDS:
        await _sleep_or_stop(run, remaining_seconds - _YIELD_SECONDS)
    while True:
        # Yield at least once, even if the order is overdue: a generator that catches up must still read its answers.
        before = time.perf_counter()
        await asyncio.sleep(0)
        took_seconds = time.perf_counter() - before
        if took_seconds < _IDLE_YIELD_SECONDS:
            run.idle_yield_seconds += took_seconds
        if run.now_seconds() >= due_seconds or run.stop.is_set():
            return


async def _sleep_or_stop(run: Run, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await run.stop.wait()


async def _finish(run: Run, in_flight: set[asyncio.Task[None]]) -> None:
    """Wait for the last answers, each bounded by its request's timeout; a stop cancels them."""
    if in_flight:
        answered = asyncio.create_task(asyncio.wait(set(in_flight)))
        stopped = asyncio.create_task(run.stop.wait())
        either: set[asyncio.Task[object]] = {answered, stopped}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        for task in (*either, *in_flight):
            task.cancel()
        await asyncio.gather(*either, *in_flight, return_exceptions=True)
    run.report_progress()
