"""Jaeger's HotROD: four Go services with simulated databases, each a process of its own."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import aiohttp

from observability.network.proxy import Delay, Proxy
from tests.stack.kept import kept
from tests.stack.processes import HOST, answers, eventually, free_port
from tests.stack.programs import build_go_program
from tests.strangers.load import Send
from tests.strangers.running import System, program
from tests.strangers.settings import Setting

PACKAGE = "github.com/jaegertracing/jaeger/examples/hotrod"
VERSION = "v1.76.0"
SERVICES = ("customer", "driver", "route", "frontend")
CUSTOMERS = (123, 392, 731, 567)


def build() -> Path:
    """Return HotROD's program, built once; skips without Go or its sources."""
    build_into = partial(build_go_program, PACKAGE, VERSION)
    return kept("hotrod", f"{PACKAGE}@{VERSION}", build_into) / "hotrod"


@asynccontextmanager
async def run(setting: Setting, folder: Path, otlp: str) -> AsyncIterator[System]:
    """Run HotROD in one setting; with the option `all` in one process."""
    binary = build()
    ports = {service: free_port() for service in SERVICES}
    seen = dict(ports)
    async with AsyncExitStack() as stack:
        if setting.network:
            service, latency_seconds = setting.network
            delay = Delay(latency_seconds=latency_seconds)
            opened = Proxy.open(target=(HOST, ports[service]), delay=delay, seed=1)
            seen[service] = int((await stack.enter_async_context(opened)).address.rpartition(":")[2])
        names = ["all"] if "all" in setting.options else list(SERVICES)
        options = [option for option in setting.options if option != "all"]
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": otlp, "OTEL_BSP_MAX_QUEUE_SIZE": "8192"}
        pids = {}
        for name in names:
            # The frontend asks the others where they are seen; each listens on its own port.
            at = seen if name == "frontend" else ports
            addresses = [f"--{each}-service-port={port}" for each, port in at.items()]
            hosts = [f"--{each}-service-hostname={HOST}" for each in SERVICES]
            command: list[str | Path] = [binary, name, *addresses, *hosts, *options]
            log = folder / f"{name}.log"
            pids[name] = stack.enter_context(program(command, log=log, environment=environment)).pid
        base = f"http://{HOST}:{ports['frontend']}"
        ready = partial(answers, f"{base}/dispatch?customer=123")
        # In a thread, since the proxy runs in this one.
        await asyncio.to_thread(eventually, ready, what=f"{base} answers")
        yield System(send=_sender(base), pids=pids, metrics={"frontend": f"{base}/metrics"})


def _sender(base: str) -> Send:
    async def send(session: aiohttp.ClientSession, source: random.Random) -> bool:
        customer = source.choice(CUSTOMERS)
        async with session.get(
            f"{base}/dispatch", params={"customer": customer, "nonse": str(source.random())}
        ) as answer:
            return answer.status == 200 and "Driver" in await answer.json()

    return send
