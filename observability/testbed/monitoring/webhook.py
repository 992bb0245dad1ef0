"""Webhook of Alertmanager: a server on loopback that records each alert's start and end."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from services.local.servers.ports import local_address, loopback


@dataclass(frozen=True, slots=True)
class Notice:
    """One alert in one notification.

    seconds: when it arrived, on `time.monotonic`.
    receiver: Alertmanager's receiver.
    alert, severity, labels: as in the alert.
    firing: false once the alert has ended.
    """

    seconds: float
    receiver: str
    alert: str
    severity: str
    firing: bool
    labels: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Webhook:
    """The server: its URL, the notices received, and a predicate of the receivers that it rejects (for tests)."""

    url: str = ""
    notices: list[Notice] = field(default_factory=list)
    refuses: Callable[[str], bool] = field(default=lambda _receiver: False)

    def first(self, alert: str, *, firing: bool, since: float) -> Notice | None:
        """Return the first notice since a time that an alert fires, or has ended; None if there is none."""
        return next(
            (each for each in self.notices if each.seconds >= since and (each.alert, each.firing) == (alert, firing)),
            None,
        )

    async def take(self, request: web.Request) -> web.Response:
        """Answer one notification."""
        receiver = request.match_info["receiver"]
        if self.refuses(receiver):
            return web.Response(status=503)
        for alert in (await request.json())["alerts"]:
            labels = alert["labels"]
            self.notices.append(
                Notice(
                    seconds=time.monotonic(),
                    receiver=receiver,
                    alert=labels["alertname"],
                    severity=labels["severity"],
                    firing=alert["status"] == "firing",
                    labels=tuple(sorted(labels.items())),
                )
            )
        return web.Response()


@asynccontextmanager
async def webhook() -> AsyncIterator[Webhook]:
    """Listen during a with block."""
    server = Webhook()
    application = web.Application()
    application.router.add_post("/{receiver}", server.take)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, loopback(), 0).start()
        server.url = f"http://{local_address(runner.addresses[0][1])}"
        yield server
    finally:
        await runner.cleanup()
