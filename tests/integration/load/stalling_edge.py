"""Edge with known waiting times: it answers at once, but stalls for a fixed part of each period.

Run as a process, `python -m tests.integration.load.stalling_edge PERIOD_SECONDS STALL_SECONDS`, it prints its port. An
order that arrives while it stalls is answered when the stall ends, so of orders that arrive evenly over time a share
(STALL - x) / PERIOD waits longer than x. Its first period begins with the first order: however long whoever sends them
takes to start, the stall is still to come. On the same port it serves its gauge of requests in flight, how many orders
it has held, and the longest time that its own process stood still. It ends when its standard input does.
"""

import asyncio
import sys
import time
import uuid
from http import HTTPStatus

import uvloop
from aiohttp import web

_ANSWERS = {
    "PENDING": (HTTPStatus.ACCEPTED, {"state": "PENDING"}),
    "SHORT": (HTTPStatus.CONFLICT, {"reason": "OUT_OF_STOCK"}),
    "UNKNOWN": (HTTPStatus.NOT_FOUND, {"reason": "SKU_NOT_FOUND"}),
    "BUSY": (HTTPStatus.SERVICE_UNAVAILABLE, {"reason": "OVERLOADED"}),
}
HELD, LATE = "stalling_edge_held_orders", "stalling_edge_late_seconds"
_HEARTBEAT_SECONDS = 0.005
_TRACE_HEADERS = ("traceparent", "tracestate", "b3", "baggage")


class StallingEdge:
    """Answers orders as their first SKU says, after any stall; rejects repeated keys and requests with a trace."""

    def __init__(self, *, period_seconds: float, stall_seconds: float) -> None:
        self._period_seconds = period_seconds
        self._stall_seconds = stall_seconds
        self._began: float | None = None
        self._active = 0
        self._held = 0
        self._late_seconds = 0.0
        self._keys: set[str] = set()

    async def place(self, request: web.Request) -> web.Response:
        """POST /orders."""
        self._active += 1
        try:
            order = await request.json()
            stall_seconds = self._stall_left_seconds()
            self._held += stall_seconds > 0
            await asyncio.sleep(stall_seconds)
            return self._answer(request, order["lines"][0]["sku"])
        finally:
            self._active -= 1

    async def metrics(self, _request: web.Request) -> web.Response:
        """GET /metrics."""
        samples = {
            'http_server_active_requests{context="order"}': self._active,
            HELD: self._held,
            LATE: self._late_seconds,
        }
        return web.Response(text="".join(f"{name} {value}\n" for name, value in samples.items()) + "# EOF\n")

    async def watch_itself(self) -> None:
        """Measure how late this process runs, until cancelled."""
        while True:
            due = time.perf_counter() + _HEARTBEAT_SECONDS
            await asyncio.sleep(_HEARTBEAT_SECONDS)
            self._late_seconds = max(self._late_seconds, time.perf_counter() - due)

    def _stall_left_seconds(self) -> float:
        now = time.perf_counter()
        if self._began is None:
            self._began = now
        phase_seconds = (now - self._began) % self._period_seconds
        return max(0.0, self._stall_seconds - phase_seconds)

    def _answer(self, request: web.Request, sku: str) -> web.Response:
        key = request.headers["Idempotency-Key"]
        uuid.UUID(request.headers["X-Customer-Id"])
        if key in self._keys or any(name in request.headers for name in _TRACE_HEADERS):
            return web.json_response({"reason": "SENT_TWICE_OR_TRACED"}, status=HTTPStatus.UNPROCESSABLE_ENTITY)
        self._keys.add(key)
        status, document = _ANSWERS.get(sku, (HTTPStatus.CREATED, {"state": "CONFIRMED"}))
        return web.json_response({"order_id": str(uuid.uuid4()), **document}, status=status)


async def main(period_seconds: float, stall_seconds: float) -> None:
    """Serve until standard input ends."""
    edge = StallingEdge(period_seconds=period_seconds, stall_seconds=stall_seconds)
    application = web.Application()
    application.router.add_post("/orders", edge.place)
    application.router.add_get("/metrics", edge.metrics)
    runner = web.AppRunner(application, access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    watching = asyncio.create_task(edge.watch_itself())
    await asyncio.to_thread(sys.stdin.read)
    watching.cancel()
    await runner.cleanup()


if __name__ == "__main__":
    uvloop.run(main(float(sys.argv[1]), float(sys.argv[2])))
