"""PostgreSQL access: statements through a bounded pool, within the deadline, named in spans and metrics."""

import asyncio
import math
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from time import perf_counter
from typing import Any, Self, TypeAlias
from urllib.parse import urlsplit

import asyncpg

from observability.telemetry.database import DatabaseTelemetry, Statement
from observability.telemetry.telemetry import Telemetry
from services.infra import deadline
from services.infra.crash_points import crash_points
from services.infra.postgres_errors import RETRY_AFTER_SECONDS, translated
from services.kernel.errors import DeadlineExceeded, Overloaded, ServiceError, Unavailable

# A caller that has waited this long for a connection is rejected: a longer queue only adds latency.
ACQUIRE_SECONDS = 1.0
ROLLBACK_SECONDS = 0.5
# The answer waits for the release. A connection that takes longer is dropped, since its server may not answer at all.
RELEASE_SECONDS = 0.5
CONNECT_SECONDS = 5.0
# The role's lock_timeout, which a transaction may only shorten.
LOCK_SECONDS = 2.0
# The driver cancels a statement at the deadline. The server cancels it this much later, in case the driver is dead.
BACKSTOP_SECONDS = 0.2

# Detect connections that were lost silently: the kernel probes after 5 idle seconds, each second, and gives up bytes
# that are not acknowledged in 10 s. Some systems lack one or the other option.
KEEPALIVE_OPTIONS = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 1, "TCP_KEEPCNT": 5, "TCP_USER_TIMEOUT": 10_000}

Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"


async def keep_session(_connection: object) -> None:
    """Reset nothing: sessions have no state, and asyncpg's reset query would double the cost of a statement."""


def time_left_seconds() -> float:
    """Return the seconds that a statement may take. Raises DeadlineExceeded when none are left."""
    if (seconds := deadline.remaining_seconds()) <= 0:
        raise DeadlineExceeded
    return seconds


def begin_within(seconds: float) -> str:
    """Return a BEGIN with which the server itself limits statements and lock waits to about `seconds`.

    Limits are rounded up to tenths of a second, since pg_stat_statements counts each different text separately.
    """
    tenths = math.ceil(10 * (seconds + BACKSTOP_SECONDS))
    lock_tenths = min(tenths, round(10 * LOCK_SECONDS))
    return f"BEGIN; SET LOCAL statement_timeout = {100 * tenths}; SET LOCAL lock_timeout = {100 * lock_tenths}"


class KeptAliveConnection(asyncpg.Connection):
    """A connection with TCP keepalive, for which the driver has no setting."""

    __slots__ = ()

    def __init__(self, protocol: Any, transport: asyncio.Transport, *others: Any) -> None:  # noqa: ANN401  # internal
        super().__init__(protocol, transport, *others)
        link: socket.socket = transport.get_extra_info("socket")
        if link.family != socket.AF_UNIX:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in KEEPALIVE_OPTIONS.items():
                if option := getattr(socket, name, None):
                    link.setsockopt(socket.IPPROTO_TCP, option, value)


class Transaction:
    """Statements in one transaction. They raise the kernel's errors; `summary` names a statement in spans and metrics.

    `name` is the purpose of the transaction; the crash points around its COMMIT contain it.
    """

    def __init__(self, connection: Connection, telemetry: DatabaseTelemetry, name: str) -> None:
        self.name = name
        self._connection = connection
        self._telemetry = telemetry

    async def fetch(self, summary: str, sql: str, *arguments: object) -> list[asyncpg.Record]:
        """Run one statement within the deadline and return its rows."""
        with self._telemetry.statement(summary) as statement, translated():
            rows = await self._connection.fetch(sql, *arguments, timeout=time_left_seconds())
            statement.returned(len(rows))
            return rows

    async def execute(self, summary: str, sql: str, *arguments: object) -> int:
        """Run one INSERT, UPDATE or DELETE within the deadline and return the number of rows it changed."""
        with self._telemetry.statement(summary), translated():
            tag: str = await self._connection.execute(sql, *arguments, timeout=time_left_seconds())
            return int(tag.rsplit(" ", 1)[-1])

    async def begin(self, statement: Statement, waited_seconds: float) -> None:
        """Run BEGIN; its span began before the wait for the connection, and records the time waited."""
        statement.acquired(waited_seconds)
        with translated():
            seconds = time_left_seconds()
            await self._connection.execute(begin_within(seconds), timeout=seconds)

    async def commit(self) -> None:
        """Run COMMIT, the only statement that waits for the disk. After Unavailable its outcome is unknown."""
        crash_points.reached(f"{self.name}.before_commit")
        with self._telemetry.statement("COMMIT"), translated():
            await self._connection.execute("COMMIT", timeout=time_left_seconds())
        crash_points.reached(f"{self.name}.after_commit")

    async def roll_back(self) -> None:
        """Run ROLLBACK, even after the deadline. If it fails the connection is closed, and the server rolls back.

        Its own failure is not raised, so that it does not replace the error that led to the rollback. A cancellation
        during the rollback is raised.
        """
        try:
            with self._telemetry.statement("ROLLBACK"), translated():
                await self._connection.execute("ROLLBACK", timeout=ROLLBACK_SECONDS)
        except ServiceError:
            self._terminate()
        except BaseException:
            self._terminate()
            raise

    def _terminate(self) -> None:
        # If the server has ended, the connection is back in the pool, and touching it raises InterfaceError.
        with suppress(asyncpg.InterfaceError):
            self._connection.terminate()


class Database:
    """Database of one context. Every wait is bounded; errors are Overloaded, Unavailable, DeadlineExceeded, or bugs."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", telemetry: DatabaseTelemetry) -> None:
        self.name = telemetry.pool
        self._pool = pool
        self._telemetry = telemetry
        telemetry.watch_pool(size=pool.get_size, idle=pool.get_idle_size, limit=pool.get_max_size)

    @classmethod
    async def open(
        cls, dsn: str, *, pool_size: int, telemetry: Telemetry, name: str | None = None, lazy: bool = False
    ) -> Self:
        """Connect once, so that a wrong DSN fails here. Raises OSError, TimeoutError or asyncpg.PostgresError.

        `name` identifies the pool in metrics; by default it is the name of the context. `lazy` does not connect yet,
        for a server that need not answer. A DSN may list several hosts; the first names the server in spans.
        """
        parts = urlsplit(dsn)
        host = urlsplit(f"//{parts.netloc.rpartition('@')[2].split(',')[0]}")
        pool = await asyncpg.create_pool(
            dsn,
            min_size=0 if lazy else 1,
            max_size=pool_size,
            timeout=CONNECT_SECONDS,
            reset=keep_session,
            connection_class=KeptAliveConnection,
        )
        namespace, address = parts.path.lstrip("/"), host.hostname or "localhost"
        return cls(pool, DatabaseTelemetry(telemetry, name or telemetry.context, namespace, address, host.port or 5432))

    @asynccontextmanager
    async def transaction(self, name: str) -> AsyncIterator[Transaction]:
        """Run a with block in one READ COMMITTED transaction; an error or cancellation rolls it back."""
        with self._telemetry.statement("BEGIN") as statement:
            connection, waited_seconds = await self._acquire()
            transaction = Transaction(connection, self._telemetry, name)
            try:
                await transaction.begin(statement, waited_seconds)
            except BaseException:
                try:
                    await transaction.roll_back()  # a BEGIN that was cancelled may have taken effect
                finally:
                    await self._release(connection)
                raise
        with self._telemetry.connection_in_use():
            try:
                yield transaction
                await transaction.commit()
            except BaseException:
                await transaction.roll_back()
                raise
            finally:
                await self._release(connection)

    async def fetch(self, summary: str, sql: str, *arguments: object) -> list[asyncpg.Record]:
        """Run one read outside a transaction and return its rows."""
        with self._telemetry.statement(summary) as statement:
            connection, waited_seconds = await self._acquire()
            try:
                statement.acquired(waited_seconds)
                with translated(), self._telemetry.connection_in_use():
                    rows = await connection.fetch(sql, *arguments, timeout=time_left_seconds())
                statement.returned(len(rows))
                return rows
            finally:
                await self._release(connection)

    async def reconnect(self) -> None:
        """Replace each connection by a new one when it is used next."""
        await self._pool.expire_connections()

    async def close(self, *, timeout_seconds: float) -> None:
        """Close the pool once its connections are free; terminate them after the timeout."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    async def _release(self, connection: Connection) -> None:
        """Return a connection to the pool, which drops it if a cancelled statement still occupies it.

        The timeout is explicit: by default the pool takes the caller's timeout for acquiring, which is close to zero
        when its deadline is near.
        """
        with translated():
            await self._pool.release(connection, timeout=RELEASE_SECONDS)

    async def _acquire(self) -> tuple[Connection, float]:
        """Return a connection and the seconds waited for it. Raises Overloaded if all stay in use, or Unavailable."""
        started = perf_counter()
        limit_seconds = min(ACQUIRE_SECONDS, time_left_seconds())
        with self._telemetry.connection_pending():
            try:
                connection = await self._pool.acquire(timeout=limit_seconds)
            except TimeoutError as error:
                self._telemetry.connection_timed_out()
                # The pool may also be waiting for a server that does not answer.
                is_full = self._pool.get_size() - self._pool.get_idle_size() >= self._pool.get_max_size()
                raise (Overloaded if is_full else Unavailable)(RETRY_AFTER_SECONDS) from error
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                raise Unavailable(RETRY_AFTER_SECONDS) from error
        return connection, perf_counter() - started
