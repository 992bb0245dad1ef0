"""Streaming replicas of an embedded PostgreSQL server, copied by pg_basebackup in about a second each."""

import secrets
from contextlib import AsyncExitStack
from dataclasses import replace

import asyncpg

from services.local.processes.errors import DatabaseUnavailable
from services.local.processes.process_watch import Watch
from services.local.servers.ports import loopback
from services.local.servers.postgres import (
    SUPERUSER,
    EmbeddedPostgres,
    PostgresStart,
    make_folder,
    run_program,
    serve,
    write_secret,
)
from services.local.servers.scram import scram_verifier

ROLE = "replicator"
BASEBACKUP_SECONDS = 120.0
PROMOTE_SECONDS = 60.0
CONNECT_SECONDS = 10.0
STATEMENT_SECONDS = 30.0
# A replica that is gone must not fill the primary's disk: its slot keeps at most this much, and ends after this time.
# The second exists since PostgreSQL 18.
SLOT_LIMITS = {"max_slot_wal_keep_size": "256MB", "idle_replication_slot_timeout": "10min"}


async def start_replicas(
    primary: EmbeddedPostgres, start: PostgresStart, *, count: int, stack: AsyncExitStack
) -> tuple[EmbeddedPostgres, ...]:
    """Start `count` replicas of a running server, which was started with `start`; `stack` stops them.

    No watch reports their end, since the platform survives it. Raises DatabaseUnavailable, ProcessFailed.
    """
    password = secrets.token_hex(24)
    await _prepare(primary, password)
    return tuple([await _start_replica(primary, start, number, password, stack) for number in range(1, count + 1)])


async def promote(replica: EmbeddedPostgres) -> None:
    """Make a replica a primary that takes writes; return when it does. Raises DatabaseUnavailable."""
    start = replica.start
    arguments = ("promote", "--wait", f"--pgdata={start.folder / 'data'}")
    await run_program(start, "pg_ctl", *arguments, limit_seconds=PROMOTE_SECONDS)


async def rejoin(former: EmbeddedPostgres, *, primary: EmbeddedPostgres) -> None:
    """Make a former primary that has ended a replica of its successor; transactions that only it had are lost.

    pg_rewind copies the successor's configuration as well, whose slot was on the former primary: it is removed.
    """
    start = former.start
    passfile = start.folder / "pgpass"
    passfile.unlink(missing_ok=True)
    write_secret(passfile, f"*:*:*:{SUPERUSER}:{primary.password}\n")
    await run_program(
        start,
        "pg_rewind",
        f"--target-pgdata={start.folder / 'data'}",
        f"--source-server=host={loopback()} port={primary.port} user={SUPERUSER} dbname=postgres passfile={passfile}",
        "--write-recovery-conf",
        "--no-sync",
        limit_seconds=BASEBACKUP_SECONDS,
    )
    with (start.folder / "data" / "postgresql.auto.conf").open("a") as configuration:
        configuration.write("primary_slot_name = ''\n")
    await former.restart()


async def _start_replica(
    primary: EmbeddedPostgres, start: PostgresStart, number: int, password: str, stack: AsyncExitStack
) -> EmbeddedPostgres:
    name = f"{start.name}-replica-{number}"
    own = replace(start, name=name, log_path=start.log_path.with_name(f"{name}.log"), port=0)
    make_folder(own)
    # libpq reads the password from a file, so that it is in no argument, nor in the server's configuration.
    passfile = write_secret(own.folder / "pgpass", f"*:*:*:{ROLE}:{password}\n")
    await run_program(
        own,
        "pg_basebackup",
        f"--pgdata={own.folder / 'data'}",
        f"--dbname=host={loopback()} port={primary.port} user={ROLE} passfile={passfile} application_name={name}",
        "--write-recovery-conf",
        "--create-slot",
        f"--slot=replica_{number}",
        "--checkpoint=fast",
        "--no-sync",  # the data need not survive a crash of the machine
        limit_seconds=BASEBACKUP_SECONDS,
    )
    return await serve(own, password=primary.password, stack=stack, watch=Watch())


async def _prepare(primary: EmbeddedPostgres, password: str) -> None:
    """Create the role of the replicas on the primary, and limit what their slots keep."""
    try:
        connection = await asyncpg.connect(primary.admin_dsn, timeout=CONNECT_SECONDS)
        try:
            statements = [f"CREATE ROLE {ROLE} LOGIN REPLICATION PASSWORD '{scram_verifier(password)}'"]
            known = await connection.fetch("SELECT name FROM pg_settings WHERE name = ANY($1)", list(SLOT_LIMITS))
            statements += [f"ALTER SYSTEM SET {row['name']} = '{SLOT_LIMITS[row['name']]}'" for row in known]
            for statement in (*statements, "SELECT pg_reload_conf()"):
                await connection.execute(statement, timeout=STATEMENT_SECONDS)
        finally:
            await connection.close(timeout=CONNECT_SECONDS)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DatabaseUnavailable(f"cannot prepare PostgreSQL for replicas: {error}") from error
