"""Read replicas of a database: reads go to a replica that is recent enough, else within a budget to the primary.

A replica is chosen by what its last sample said, which may be wrong by now. So an answer is accepted only by a test on
the rows that were read: `run` returns None for rows that are not recent enough. The position of the log that a replica
has replayed is never such a test: one statement that compares it and reads takes its snapshot before it compares.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from time import monotonic
from typing import Self, TypeVar

import asyncpg
from pydantic import SecretStr

from observability.telemetry.replicas import ReplicaTelemetry
from observability.telemetry.telemetry import Telemetry
from services.infra import deadline
from services.infra.admission import waiting_downstream
from services.infra.fallback_budget import FallbackBudget
from services.infra.postgres import Database
from services.infra.postgres_errors import TransactionAborted
from services.infra.replica_lag import WalHistory
from services.infra.settings import ReplicatedSettings
from services.infra.worker import Worker
from services.kernel.errors import DeadlineExceeded, Overloaded, ServiceError, Unavailable

SAMPLE_SECONDS = 0.5
SAMPLE_LIMIT_SECONDS = 1.0
# A read waits for a replica no longer than this, and no longer than this share of its deadline.
MOST_WAIT_SECONDS = 0.1
WAIT_SHARE = 0.25
FIRST_POLL_SECONDS = 0.005
# Reads of one database that wait at the same time; a further one goes to the primary at once.
MOST_WAITING = 16
# A replica that does not answer leaves the primary half of the deadline.
ATTEMPT_SHARE = 0.5
# A replica that takes longer is left out; a read that had less time says nothing about it.
HANG_SECONDS = 0.5
# Replicas less far behind than this count as equally recent: a read may wait as long.
EQUAL_LAG_SECONDS = MOST_WAIT_SECONDS
RETRY_AFTER_SECONDS = 1.0

T = TypeVar("T")


class FallbackExhausted(Unavailable):
    """No replica has the data, and the primary takes no more reads in place of replicas."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaOptions:
    """Replicas of a database.

    dsns: one for each replica; the primary's may be among them, since roles change: a primary is not read here
    pool_size: most connections to each
    most_lag_seconds: a replica further behind is not read
    reserve_per_second: reads a second that the primary always takes when no replica can
    """

    dsns: tuple[str, ...] = field(repr=False)
    pool_size: int
    most_lag_seconds: float
    reserve_per_second: float

    @classmethod
    def of(cls, settings: ReplicatedSettings, dsns: SecretStr) -> Self:
        """Return the options of the database with these replicas."""
        return cls(
            dsns=tuple(filter(None, dsns.get_secret_value().split(","))),
            pool_size=settings.replica_pool_size,
            most_lag_seconds=settings.replica_most_lag_seconds,
            reserve_per_second=settings.replica_fallbacks_per_second,
        )


@dataclass(slots=True, eq=False)
class Replica:
    """A replica, and what its last sample said.

    database: pool of its connections.
    is_up: it answered its last sample.
    is_usable: it answered, no read of it failed or hung since, and it is a standby.
    position: bytes of the log that it has replayed; 0 if that is not known, or it is no standby now.
    lag_seconds: how far it is behind.
    in_flight: reads that it has not answered yet.
    last_read: monotonic time of its last read.
    """

    database: Database
    is_up: bool = False
    is_usable: bool = False
    position: int = 0
    lag_seconds: float = 0.0
    in_flight: int = 0
    last_read: float = 0.0

    async def read(self, run: Callable[[Database], Awaitable[T]]) -> T:
        """Run a read, counted as in flight."""
        self.in_flight += 1
        self.last_read = monotonic()
        try:
            with deadline.within(ATTEMPT_SHARE * deadline.remaining_seconds()):
                return await run(self.database)
        finally:
            self.in_flight -= 1


def choose(
    replicas: Sequence[Replica], *, most_lag_seconds: float, without: Collection[Replica] = ()
) -> Replica | None:
    """Return the replica for the next read: the most recent, among equally recent ones the one with the least load."""
    possible = [
        replica
        for replica in replicas
        if replica.is_usable and replica.lag_seconds <= most_lag_seconds and replica not in without
    ]
    return min(
        possible,
        key=lambda replica: (max(replica.lag_seconds, EQUAL_LAG_SECONDS), replica.in_flight, replica.last_read),
        default=None,
    )


def replica_workers(*each: "Replicas | None", telemetry: Telemetry) -> tuple[Worker, ...]:
    """Return the workers that sample these replicas."""
    return tuple(Worker("replicas-" + one.name, one.step, telemetry=telemetry) for one in each if one)


class Replicas:
    """Replicas of one database. `step` samples lag and roles, and must be run by a worker."""

    def __init__(
        self, *, primary: Database, replicas: Sequence[Replica], options: ReplicaOptions, telemetry: ReplicaTelemetry
    ) -> None:
        self.name = primary.name
        self._primary = primary
        self._replicas = replicas
        self._most_lag_seconds = options.most_lag_seconds
        self._budget = FallbackBudget(reserve_per_second=options.reserve_per_second)
        self._telemetry = telemetry
        self._history = WalHistory()
        self._waiting = 0
        for replica in replicas:
            self._watch(replica)

    @classmethod
    async def open(
        cls,
        options: ReplicaOptions,
        *,
        primary: Database,
        telemetry: Telemetry,
        stack: AsyncExitStack,
        close_seconds: float,
    ) -> Self | None:
        """Open a pool for each replica, which `stack` closes; return None without replicas. None needs to answer yet.

        In metrics a replica's pool has the name of the primary's, with _replica_1 and so on.
        """
        if not options.dsns:
            return None
        replicas = []
        for number, dsn in enumerate(options.dsns, 1):
            pool_name, pool_size = f"{primary.name}_replica_{number}", options.pool_size
            database = await Database.open(dsn, pool_size=pool_size, telemetry=telemetry, name=pool_name, lazy=True)
            stack.push_async_callback(database.close, timeout_seconds=close_seconds)
            replicas.append(Replica(database))
        return cls(
            primary=primary,
            replicas=replicas,
            options=options,
            telemetry=ReplicaTelemetry(telemetry, database=primary.name),
        )

    async def read(
        self, run: Callable[[Database], Awaitable[T | None]], *, primary: Callable[[], Awaitable[T]], may_wait: bool
    ) -> T:
        """Return what `run` reads on a replica, or what `primary` reads if no replica has it. Never for a write.

        may_wait: run again for a moment while it returns None, as for a change that the replica is about to get.
        Raises FallbackExhausted when the primary takes no more of these reads.
        """
        answer, reason = await self._read_replica(run, may_wait=may_wait)
        if answer is not None:
            self._budget.answered()
            self._telemetry.read("replica")
            return answer
        if not self._budget.take(monotonic()):
            self._telemetry.read("rejected")
            raise FallbackExhausted(RETRY_AFTER_SECONDS)
        self._telemetry.fell_back(reason)
        self._telemetry.read("primary")
        return await primary()

    async def step(self) -> float:
        """Sample the primary and each replica, concurrently; return the seconds until the next sample."""
        await self._sample_primary()
        await asyncio.gather(*map(self._sample, self._replicas))
        return SAMPLE_SECONDS

    async def _read_replica(
        self, run: Callable[[Database], Awaitable[T | None]], *, may_wait: bool
    ) -> tuple[T | None, str]:
        """Return the answer of a replica, or None and why there is none."""
        began, failed = monotonic(), set[Replica]()
        ends = began + min(MOST_WAIT_SECONDS, WAIT_SHARE * deadline.remaining_seconds())
        poll_seconds = FIRST_POLL_SECONDS
        while replica := choose(self._replicas, most_lag_seconds=self._most_lag_seconds, without=failed):
            asked = monotonic()
            try:
                answer = await replica.read(run)
            except TransactionAborted:
                # The read blocked the replica's replay and was cancelled; another try there could end the same way.
                self._telemetry.conflicted()
                return None, "conflict"
            except (Unavailable, asyncpg.SyntaxOrAccessError):
                # SyntaxOrAccessError: a table or column that the replica does not have yet. For a bug in the statement
                # the primary raises the same.
                replica.is_usable = False
                failed.add(replica)
                continue
            except DeadlineExceeded:
                if monotonic() - asked >= HANG_SECONDS:
                    replica.is_usable = False
                failed.add(replica)
                continue
            except Overloaded:
                failed.add(replica)
                continue
            if answer is not None or not may_wait or monotonic() + poll_seconds > ends:
                if poll_seconds > FIRST_POLL_SECONDS:
                    self._telemetry.waited(monotonic() - began)
                return answer, "behind" if may_wait else "missing"
            if not await self._pause(poll_seconds):
                return None, "behind"
            poll_seconds *= 2
        return None, "unavailable"

    async def _pause(self, seconds: float) -> bool:
        """Wait without an admission slot; return False at once when too many reads wait already."""
        if self._waiting >= MOST_WAITING:
            return False
        self._waiting += 1
        try:
            with waiting_downstream():
                await asyncio.sleep(seconds)
        finally:
            self._waiting -= 1
        return True

    async def _sample_primary(self) -> None:
        # Purpose: only what is flushed is sent to replicas.
        select = """
            SELECT CASE WHEN NOT pg_is_in_recovery() THEN (pg_current_wal_flush_lsn() - '0/0')::bigint END AS position
        """
        try:
            with deadline.within(SAMPLE_LIMIT_SECONDS):
                (row,) = await self._primary.fetch("SELECT wal position", select)
        except ServiceError:
            return  # reads of replicas go on, and the failure is counted with the statement
        if row["position"] is None:
            # The primary was demoted: new connections reach the new primary, if the DSN leads there.
            await self._primary.reconnect()
            return
        self._history.add(monotonic(), row["position"])

    async def _sample(self, replica: Replica) -> None:
        # Purpose: the role, since a replica may have been promoted, and how far it has replayed the log.
        select = """
            SELECT pg_is_in_recovery() AS is_standby, (pg_last_wal_replay_lsn() - '0/0')::bigint AS position"""
        try:
            with deadline.within(SAMPLE_LIMIT_SECONDS):
                (row,) = await replica.database.fetch("SELECT replay position", select)
        except ServiceError:
            replica.is_up = replica.is_usable = False
            return
        replica.is_up, replica.is_usable = True, row["is_standby"]
        replica.position = (row["is_standby"] and row["position"]) or 0
        replica.lag_seconds = self._lag_seconds(replica)

    def _lag_seconds(self, replica: Replica) -> float:
        return self._history.lag_seconds(monotonic(), replica.position) if replica.position else 0.0

    def _watch(self, replica: Replica) -> None:
        self._telemetry.watch(
            replica.database.name,
            up=lambda: replica.is_up,
            lag_bytes=lambda: self._history.lag_bytes(replica.position) if replica.position else 0,
            lag_seconds=lambda: self._lag_seconds(replica),
        )
