"""Statements to PostgreSQL: through a bounded pool, within the deadline, named in spans and metrics."""

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

# A caller that waited this long for a connection is told to come back: a longer queue only adds latency.
ACQUIRE_SECONDS = 1.0
ROLLBACK_SECONDS = 0.5
# An answer waits for it: a connection that is not free by then is dropped, since its server may be dark.
RELEASE_SECONDS = 0.5
CONNECT_SECONDS = 5.0
# The role's lock_timeout, which a transaction may only make shorter.
LOCK_SECONDS = 2.0
# The driver ends a statement at the deadline. The server ends it by itself so much later, for a driver that is dead.
BACKSTOP_SECONDS = 0.2

# A connection that was lost without a word: the kernel asks after so many idle seconds, each second, and gives up bytes
# that no one acknowledges. Some systems lack one or the other.
KEEPALIVE_OPTIONS = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 1, "TCP_KEEPCNT": 5, "TCP_USER_TIMEOUT": 10_000}

Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"


async def keep_session(_connection: object) -> None:
    """Reset nothing: no session state is ever made, and asyncpg's reset query would double a statement's cost."""


def time_left_seconds() -> float:
    """Return the seconds a statement may take. Raises DeadlineExceeded when there are none."""
    if (seconds := deadline.remaining_seconds()) <= 0:
        raise DeadlineExceeded
    return seconds


def begin_within(seconds: float) -> str:
    """Return the BEGIN of a transaction whose statements and waits for locks the server itself ends after a time.

    In tenths of a second, since each other text is another statement to what counts statements.
    """
    tenths = math.ceil(10 * (seconds + BACKSTOP_SECONDS))
    lock_tenths = min(tenths, round(10 * LOCK_SECONDS))
    return f"BEGIN; SET LOCAL statement_timeout = {100 * tenths}; SET LOCAL lock_timeout = {100 * lock_tenths}"


class KeptAliveConnection(asyncpg.Connection):
    """A connection of the driver, which itself has no setting for keepalive."""

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
    """Statements on one connection. Each raises the kernel's errors; a `summary` names it in spans and metrics.

    `name` says what the transaction is for: the crash points around its COMMIT are called after it.
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
        """Run BEGIN; its span began before the wait for the connection, and says how long that was."""
        statement.acquired(waited_seconds)
        with translated():
            seconds = time_left_seconds()
            await self._connection.execute(begin_within(seconds), timeout=seconds)

    async def commit(self) -> None:
        """Run COMMIT: the one statement that waits for the disk. After Unavailable its outcome is unknown."""
        crash_points.reached(f"{self.name}.before_commit")
        with self._telemetry.statement("COMMIT"), translated():
            await self._connection.execute("COMMIT", timeout=time_left_seconds())
        crash_points.reached(f"{self.name}.after_commit")

    async def roll_back(self) -> None:
        """Run ROLLBACK, past the deadline too. A connection that cannot is given up, and its server rolls back.

        Its own failure is not raised: whoever rolls back has an error already, and a cancellation must not become
        another. One that arrives meanwhile passes.
        """
        try:
            with self._telemetry.statement("ROLLBACK"), translated():
                await self._connection.execute("ROLLBACK", timeout=ROLLBACK_SECONDS)
        except ServiceError:
            self._give_up()
        except BaseException:
            self._give_up()
            raise

    def _give_up(self) -> None:
        # One whose server has ended belongs to the pool again, which says so to whoever touches it.
        with suppress(asyncpg.InterfaceError):
            self._connection.terminate()


class Database:
    """One context's database. Every wait is bounded; errors are Overloaded, Unavailable, DeadlineExceeded, or bugs."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", telemetry: DatabaseTelemetry) -> None:
        self._pool = pool
        self._telemetry = telemetry
        telemetry.watch_pool(size=pool.get_size, idle=pool.get_idle_size, limit=pool.get_max_size)

    @classmethod
    async def open(cls, dsn: str, *, pool_size: int, telemetry: Telemetry, name: str | None = None) -> Self:
        """Connect once, so that a wrong DSN fails here. Raises OSError, TimeoutError or asyncpg.PostgresError.

        `name` tells the pools of one context apart in metrics; a context's own database has the context's name.
        """
        where = urlsplit(dsn)
        pool = await asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=pool_size,
            timeout=CONNECT_SECONDS,
            reset=keep_session,
            connection_class=KeptAliveConnection,
        )
        namespace, address = where.path.lstrip("/"), where.hostname or "localhost"
        return cls(
            pool, DatabaseTelemetry(telemetry, name or telemetry.context, namespace, address, where.port or 5432)
        )

    @asynccontextmanager
    async def transaction(self, name: str) -> AsyncIterator[Transaction]:
        """Run a block in one READ COMMITTED transaction; an error in it, a cancellation too, rolls it back."""
        with self._telemetry.statement("BEGIN") as statement:
            connection, waited_seconds = await self._acquire()
            transaction = Transaction(connection, self._telemetry, name)
            try:
                await transaction.begin(statement, waited_seconds)
            except BaseException:
                try:
                    await transaction.roll_back()  # a BEGIN that was cut off may have begun
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
        """Run one statement outside a transaction and return its rows; for reads."""
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

    async def close(self, *, timeout_seconds: float) -> None:
        """Wait for the connections in use, then close; terminate them when time is up."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    async def _release(self, connection: Connection) -> None:
        """Give a connection back. A statement that was cut off may keep it so long that the pool gives it up.

        The time for that is the connection's own: by default the pool takes what the caller had for getting one, which
        is next to nothing when its deadline is near.
        """
        with translated():
            await self._pool.release(connection, timeout=RELEASE_SECONDS)

    async def _acquire(self) -> tuple[Connection, float]:
        """Return a connection and the seconds waited for it. Raises Overloaded when all stay in use, or Unavailable."""
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
