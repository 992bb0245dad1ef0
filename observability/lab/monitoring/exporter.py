"""What does PostgreSQL say of itself? An exporter beside a server of our own, with what our dashboards ask."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp

from services.local.errors import LocalError
from services.local.plan import base_environment
from services.local.ports import HOST, free_port
from services.local.process import Command, GuardedProcess
from services.local.scratch import Scratch

PROGRAM = "prometheus-postgres-exporter"
QUERIES = Path(__file__).resolve().parents[3] / "grafana" / "postgres_exporter" / "queries.yml"
READY_SECONDS = 15.0
ASK_SECONDS = 5.0
POLL_SECONDS = 0.05


@asynccontextmanager
async def postgres_exporter(admin_dsn: str, logs_directory: Path) -> AsyncIterator[dict[str, str]]:
    """Run it for the time of a block; yield its host:port by its job, or nothing where it is not on PATH."""
    program = shutil.which(PROGRAM)
    if program is None:
        yield {}
        return
    address = f"{HOST}:{free_port()}"
    arguments = (
        f"--web.listen-address={address}",
        f"--extend.query-path={QUERIES}",
        "--disable-default-metrics",
        "--disable-settings-metrics",
        # Of the version in Debian these do not know PostgreSQL 17 and later.
        "--no-collector.database",
        "--no-collector.bgwriter",
    )
    async with AsyncExitStack() as stack:
        scratch = Scratch()
        stack.push_async_callback(scratch.close)
        command = Command(
            name="postgres-exporter",
            arguments=(program, *arguments),
            log_path=logs_directory / "postgres-exporter.log",
            environment=base_environment() | {"DATA_SOURCE_NAME": admin_dsn},
        )
        process = GuardedProcess(command, scratch=scratch)
        stack.push_async_callback(process.stop)
        await process.started()
        await _until_it_answers(address, process)
        yield {"postgres": address}


async def _until_it_answers(address: str, process: GuardedProcess) -> None:
    ends, timeout = time.monotonic() + READY_SECONDS, aiohttp.ClientTimeout(total=ASK_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        while True:
            try:
                async with session.get(f"http://{address}/metrics") as page:
                    page.raise_for_status()
                    return
            except (aiohttp.ClientError, TimeoutError) as error:
                if process.ended or time.monotonic() > ends:
                    raise LocalError(f"the exporter of PostgreSQL does not answer.{process.tail()}") from error
            await asyncio.sleep(POLL_SECONDS)
