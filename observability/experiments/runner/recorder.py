"""Recorder of an observation while a block runs.

async with observing(folder=folder, admin=endpoints.admin, admin_dsn=server.admin_dsn, databases=DATABASES, ...):
    ... send requests ...
observation = read_observation(folder)
"""

import asyncio
import random
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import aiohttp
import asyncpg
import orjson
import psutil
from valkey.asyncio import Valkey
from valkey.exceptions import ValkeyError

from observability.experiments.runner.errors import TrialError
from observability.testbed.cache_metrics import cache_used, open_cache, read_cache
from observability.testbed.database_metrics import (
    Counted,
    connect,
    disconnect,
    read_counters,
    read_sessions,
    statements_used,
    tables_used,
)
from observability.testbed.process_metrics import Process, open_processes
from observability.testbed.processor_limit import ProcessorLimit

SCRAPES_PERIOD_SECONDS = 1.0
PROCESSES_PERIOD_SECONDS = 1.0
SESSIONS_PERIOD_SECONDS = 0.1
SCRAPE_TIMEOUT_SECONDS = 10.0
_FILES = ("scrapes", "sessions", "processes", "statements", "tables", "caches")
_OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}
_FAILURES = (OSError, aiohttp.ClientError, asyncpg.PostgresError, asyncpg.InterfaceError, psutil.Error, ValkeyError)
# Info metrics name the version and the instance, which the diagnosis must not know.
_INFO = re.compile(r"^(?:# [A-Z]+ )?[\w:]+_info[ {].*\n", re.MULTILINE)


class ObserverError(TrialError):
    """Something cannot be observed; the message says what and why."""


@asynccontextmanager
async def observing(
    *,
    folder: Path,
    admin: Mapping[str, str],
    admin_dsn: str,
    databases: Sequence[str],
    pids: Mapping[str, int],
    postgres_pids: Mapping[str, int],
    limits: Mapping[str, ProcessorLimit] | None = None,
    cache_url: str = "",
) -> AsyncIterator[None]:
    """Record a system during the `async with` block, as observability/analysis/observation_folder.py reads it.

    folder: of the observation.
    admin: host:port of each process's /metrics, by name.
    admin_dsn: of the superuser of a server with pg_stat_statements in each database.
    pids: process ids by name.
    postgres_pids: process ids of PostgreSQL servers by name; of those without admin_dsn only the processor use is
        recorded.
    limits: processor limits of servers by name, recorded as cAdvisor reports those of containers.
    cache_url: empty without a cache.
    On a failure the block is cancelled and ObserverError raised. The usage of statements, tables and the cache is
    written only when the block ends without an error.
    """
    async with AsyncExitStack() as stack:
        with _told(f"write to {folder}"):
            _make_empty(folder)
        with _told("find the processes"):
            processes = open_processes(pids, postgres_pids)
        with _told("connect to PostgreSQL"):
            connection = await connect(admin_dsn)
        stack.push_async_callback(_close, connection)
        timeout = aiohttp.ClientTimeout(total=SCRAPE_TIMEOUT_SECONDS)
        web = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout, headers=_OPENMETRICS))
        cache = await stack.enter_async_context(open_cache(cache_url)) if cache_url else None
        observer = _Observer(folder, admin, admin_dsn, databases, processes, limits or {}, web, connection, cache)
        await observer.sample_processes()
        await observer.scrape()
        before, cache_before = await observer.count(), await observer.count_cache()
        async with (
            _repeating(observer.scrape, SCRAPES_PERIOD_SECONDS),
            _repeating(observer.sample_processes, PROCESSES_PERIOD_SECONDS),
            _repeating(observer.sample_sessions, SESSIONS_PERIOD_SECONDS),
        ):
            yield
        after = await observer.count()
        await observer.scrape()
        await observer.sample_processes()
        observer.write_uses(before, after)
        observer.write_cache_use(cache_before, await observer.count_cache())


@dataclass(frozen=True, slots=True)
class _Observer:
    """The observed sources, the connections to them, and the folder of the recording. Methods raise ObserverError."""

    folder: Path
    admin: Mapping[str, str]
    admin_dsn: str
    databases: Sequence[str]
    processes: Mapping[str, Process]
    limits: Mapping[str, ProcessorLimit]
    web: aiohttp.ClientSession
    connection: asyncpg.Connection
    cache: Valkey | None

    async def scrape(self) -> None:
        """Scrape the processes one after the other, so that they do not all answer at once beside their work."""
        for target, address in self.admin.items():
            with _told(f"read the metrics of {target} at {address}"):
                async with self.web.get(f"http://{address}/metrics") as page:
                    page.raise_for_status()
                    text = await page.text()
            self._write("scrapes", {"at": time.time(), "target": target, "text": _INFO.sub("", text)})
        if self.limits:
            with _told("read the control groups of PostgreSQL"):
                pages = [
                    limit.metrics(name, self.processes[name].use().cpu_seconds) for name, limit in self.limits.items()
                ]
            self._write("scrapes", {"at": time.time(), "target": "cadvisor", "text": "".join(pages)})

    async def sample_sessions(self) -> None:
        """Record the sessions that are not idle."""
        at = time.time()
        with _told("read the sessions of PostgreSQL"):
            sessions = await read_sessions(self.connection, self.databases)
        self._write("sessions", {"at": at, "sessions": sessions})

    async def sample_processes(self) -> None:
        """Record the counters of each process."""
        for name, process in self.processes.items():
            with _told(f"see what process {name} uses"):
                use = process.use()
            self._write("processes", {"at": time.time(), "process": name, **asdict(use)})

    async def count(self) -> Mapping[str, Counted]:
        """Return the counters of each database."""
        with _told("read the counters of PostgreSQL"):
            return {database: await read_counters(self.admin_dsn, database) for database in self.databases}

    def write_uses(self, before: Mapping[str, Counted], after: Mapping[str, Counted]) -> None:
        """Record the usage of statements and tables in between."""
        for database in self.databases:
            for statement in statements_used(before[database], after[database]):
                self._write("statements", {"database": database, **statement})
            for table in tables_used(before[database], after[database]):
                self._write("tables", {"database": database, **table})

    async def count_cache(self) -> Mapping[str, int]:
        """Return the counters of the cache, empty without a cache."""
        if self.cache is None:
            return {}
        with _told("read the counters of the cache"):
            return await read_cache(self.cache)

    def write_cache_use(self, before: Mapping[str, int], after: Mapping[str, int]) -> None:
        """Record the usage of the cache in between."""
        if after:
            self._write("caches", {"cache": "valkey", **cache_used(before, after)})

    def _write(self, name: str, document: Mapping[str, object]) -> None:
        with _told(f"write to {self.folder}"), _path(self.folder, name).open("ab") as file:
            file.write(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE))


@asynccontextmanager
async def _repeating(sample: Callable[[], Awaitable[None]], period_seconds: float) -> AsyncIterator[None]:
    """Sample repeatedly during the block; a failure cancels the block and is raised instead."""
    failure: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(_repeat(sample, period_seconds))
            try:
                yield
            finally:
                task.cancel()
    except BaseExceptionGroup as failures:
        # The first exception is the failed sample or the block's own. Raised outside of the group, it keeps its cause.
        failure = failures.exceptions[0]
    if failure is not None:
        raise failure


async def _repeat(sample: Callable[[], Awaitable[None]], period_seconds: float) -> None:
    """Sample at random intervals: with a fixed period, periodic work would always or never be sampled."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        due = max(loop.time(), due + period_seconds * random.uniform(0.5, 1.5))
        await asyncio.sleep(due - loop.time())
        await sample()


async def _close(connection: asyncpg.Connection) -> None:
    with _told("leave PostgreSQL"):
        await disconnect(connection)


def _make_empty(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in _FILES:
        _path(folder, name).write_bytes(b"")


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.jsonl"


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Translate a library's error into an ObserverError that names the failed action."""
    try:
        yield
    except (
        OSError,
        aiohttp.ClientError,
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,  # A session that is ended while it prepares a statement.
        psutil.Error,
        ValkeyError,
    ) as error:
        reason = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        raise ObserverError(f"cannot {what}: {reason}") from error
