"""Recorder of foreign systems: runs each setting once and keeps what was observed in a folder of its name.

python -m tests.strangers.record FOLDER [NAME ...] records the named settings, or all that FOLDER does not hold yet.
"""

import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import pytest

from observability.testbed.process_metrics import PostgresServer, Process
from tests.stack.processes import HOST, eventually, free_port, get
from tests.strangers import hotrod, keycloak, mlflow_server, parse_server
from tests.strangers.load import Sent, send_load
from tests.strangers.running import System, program
from tests.strangers.settings import Load, Setting, read_settings

SYSTEMS: dict[str, Callable[[Setting, Path, str], AbstractAsyncContextManager[System]]] = {
    "hotrod": hotrod.run,
    "keycloak": keycloak.run,
    "mlflow": mlflow_server.run,
    "parse": parse_server.run,
}
SEED = 1
LOOK_SECONDS = 1.0
LOOKS_A_SCRAPE = 5
# Time in which every exporter sends what it has: their batches wait at most 5 s.
FLUSH_SECONDS = 7.0
# Requests before the recording: enough to open connections, and for a virtual machine to compile.
WARM_UP = 10
WARM_UPS = {"keycloak": 150}


def main(folder: str, *names: str) -> int:
    """Record settings and return how many could not be."""
    missing = 0
    for setting in read_settings():
        if setting.name in names or (not names and not (Path(folder) / setting.name).exists()):
            try:
                record(setting, Path(folder))
            except pytest.skip.Exception as skipped:
                sys.stderr.write(f"{setting.name} is skipped: {skipped}\n")
                missing += 1
    return missing


def record(setting: Setting, folder: Path) -> Path:
    """Run one setting under its load and return the folder with its traces, scrapes, processes and requests."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{setting.name}-", dir=folder))
    draft.chmod(0o755)
    try:
        with tempfile.TemporaryDirectory(prefix="stranger-") as scratch, _receiver(draft, Path(scratch)) as otlp:
            sent = asyncio.run(_observe(setting, draft, Path(scratch), otlp))
        _write_requests(sent, setting, draft / "requests.json")
        whole = folder / setting.name
        shutil.rmtree(whole, ignore_errors=True)
        draft.rename(whole)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    failed = sent.answered.count(False)
    sys.stderr.write(f"{setting.name}: {len(sent.answered)} requests, {failed} without a right answer\n")
    return whole


async def _observe(setting: Setting, draft: Path, scratch: Path, otlp: str) -> Sent:
    async with SYSTEMS[setting.system](setting, scratch, otlp) as system:
        await send_load(Load(requests=WARM_UPS.get(setting.system, WARM_UP), clients=1), system.send, seed=SEED - 1)
        async with _watched(system, draft):
            sent = await send_load(setting.load, system.send, seed=SEED)
        await asyncio.sleep(FLUSH_SECONDS)
    return sent


@contextmanager
def _receiver(folder: Path, scratch: Path) -> Iterator[str]:
    """Run the project's own receiver, which writes what it gets to traces.jsonl, and yield its address."""
    address = f"{HOST}:{free_port()}"
    ready = scratch / "ready"
    environment = {
        "RECEIVER_LISTEN": address,
        "RECEIVER_DIRECTORY": str(folder),
        "RECEIVER_READY_FILE": str(ready),
        "RECEIVER_MAXIMUM_FILE_BYTES": str(1024**3),
    }
    command = [sys.executable, "-m", "observability.receiver"]
    with program(command, log=scratch / "receiver.log", environment=environment):
        eventually(ready.exists, what="the receiver is ready")
        yield f"http://{address}"


@asynccontextmanager
async def _watched(system: System, folder: Path) -> AsyncIterator[None]:
    """Sample processes and metrics pages during a block, and once more at its end."""
    # Each may have children, as PostgreSQL has; the use of those that have ended counts, too.
    processes = {service: PostgresServer(pid) for service, pid in system.pids.items()}
    look = partial(_look, processes, system, folder)
    watching = asyncio.create_task(_watch(look))
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    await asyncio.to_thread(look, scrape=True)


async def _watch(look: Callable[..., None]) -> None:
    number = 0
    while True:
        await asyncio.to_thread(look, scrape=number % LOOKS_A_SCRAPE == 0)
        await asyncio.sleep(LOOK_SECONDS)
        number += 1


def _look(processes: Mapping[str, Process], system: System, folder: Path, *, scrape: bool) -> None:
    at, used = time.time(), {service: process.use().cpu_seconds for service, process in processes.items()}
    for service, cpu_seconds in used.items():
        # Several threads wait for a processor at once, of which the kernel tells that of one.
        row = {"at": at, "process": service, "cpu_seconds": cpu_seconds, "wait_seconds": None}
        _append(folder / "processes.jsonl", row)
    if not scrape:
        return
    for target, url in system.metrics.items():
        _append(folder / "scrapes.jsonl", {"at": time.time(), "target": target, "text": get(url).decode()})
    for service, limit in system.cpu_limit.items():
        text = limit.metrics(service, used[service])
        _append(folder / "scrapes.jsonl", {"at": at, "target": "cadvisor", "text": text})


def _append(path: Path, row: object) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def _write_requests(sent: Sent, setting: Setting, path: Path) -> None:
    content = {
        "from": sent.from_seconds,
        "until": sent.until_seconds,
        "scheduled_rate_per_second": setting.load.rate or len(sent.answered) / (sent.until_seconds - sent.from_seconds),
        "latencies_seconds": sent.latencies_seconds,
        "answered": sent.answered,
    }
    path.write_text(json.dumps(content), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
