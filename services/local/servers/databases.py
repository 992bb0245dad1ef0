"""Creation of databases: each context gets a database and a role that no other context can use."""

import json
import os
import platform
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

from services.local.processes.errors import DatabaseUnavailable
from services.local.processes.process_identity import is_same_process, start_token
from services.local.servers.scram import scram_verifier

CONNECT_SECONDS = 10.0
STATEMENT_SECONDS = 30.0
RUN_PREFIX = "plumb_"
# Fallback limits; each call sets its own, shorter ones.
BACKSTOPS = {"statement_timeout": "10s", "lock_timeout": "2s", "idle_in_transaction_session_timeout": "10s"}
# Parameters of the log and of statistics, which a session sets around a statement with a password.
SILENCED = (
    "log_statement",
    "log_min_duration_statement",
    "log_min_error_statement",
    "pg_stat_statements.track_utility",
)


@dataclass(frozen=True, slots=True)
class Databases:
    """Creates and drops databases and roles through an administrator's address.

    `prefix` is "" on an embedded server; on a given server it separates the names of one run from all others.
    """

    admin_dsn: str
    prefix: str = ""

    async def create(self, contexts: Sequence[str]) -> dict[str, str]:
        """Create a database and an owning role for each context; return their DSNs. Raises DatabaseUnavailable."""
        connection = await self._connect()
        try:
            return {context: await self._create_one(connection, self.prefix + context) for context in contexts}
        except asyncpg.PostgresError as error:
            raise DatabaseUnavailable(
                f"cannot create databases: {error}. The role in PLUMB_POSTGRES_DSN needs CREATEDB and CREATEROLE."
            ) from error
        finally:
            await connection.close(timeout=CONNECT_SECONDS)

    async def _create_one(self, connection: asyncpg.Connection, name: str) -> str:
        password = secrets.token_hex(24)
        owner = json.dumps({"machine": _machine(), "supervisor_pid": os.getpid(), "token": start_token(os.getpid())})
        statements = [
            f"CREATE ROLE \"{name}\" LOGIN PASSWORD '{scram_verifier(password)}'",
            *(f"ALTER ROLE \"{name}\" SET {setting} = '{value}'" for setting, value in BACKSTOPS.items()),
            f"COMMENT ON ROLE \"{name}\" IS '{owner}'",
            # A role that is no superuser may assign a database only to a role that it is a member of.
            f'GRANT "{name}" TO CURRENT_USER',
            f'CREATE DATABASE "{name}" OWNER "{name}" TEMPLATE template0 ENCODING \'UTF8\'',
            f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC',
        ]
        for statement in statements:
            await connection.execute(statement, timeout=STATEMENT_SECONDS)
        return replace_login(self.admin_dsn, user=name, password=password, database=name)

    async def prepare_own_server(self, contexts: Sequence[str]) -> None:
        """Add statement statistics to each database of an embedded server, and bar the roles from other databases."""
        for database in ("postgres", *contexts):
            connection = await self._connect(database=database)
            try:
                await connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements", timeout=STATEMENT_SECONDS)
                await connection.execute(f'REVOKE ALL ON DATABASE "{database}" FROM PUBLIC', timeout=STATEMENT_SECONDS)
            finally:
                await connection.close(timeout=CONNECT_SECONDS)

    async def allow_moves(self, context: str) -> None:
        """Let the role of an order database publish and subscribe, and hide the password of a subscription.

        The parameters are those that `services/order/adapters/shard_move_target.py` sets. Raises
        asyncpg.InsufficientPrivilegeError.
        """
        connection, role = await self._connect(), self.prefix + context
        try:
            for statement in (
                f'ALTER ROLE "{role}" REPLICATION',
                f'GRANT pg_create_subscription TO "{role}"',
                f'GRANT SET ON PARAMETER {", ".join(SILENCED)} TO "{role}"',
            ):
                await connection.execute(statement, timeout=STATEMENT_SECONDS)
        finally:
            await connection.close(timeout=CONNECT_SECONDS)

    async def drop(self, names: Sequence[str]) -> None:
        """Drop databases and roles of these full names, and end their sessions. Raises DatabaseUnavailable."""
        connection = await self._connect()
        try:
            for name in names:
                await self._drop_subscriptions(connection, name)
                await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', timeout=STATEMENT_SECONDS)
                if await connection.fetchval("SELECT to_regrole(quote_ident($1))", name):
                    # The rights on parameters, too, without which a role can be dropped.
                    await connection.execute(f'DROP OWNED BY "{name}"', timeout=STATEMENT_SECONDS)
                    await connection.execute(f'DROP ROLE "{name}"', timeout=STATEMENT_SECONDS)
        except asyncpg.PostgresError as error:
            raise DatabaseUnavailable(f"cannot drop the run's databases {', '.join(names)}: {error}") from error
        finally:
            await connection.close(timeout=CONNECT_SECONDS)

    async def _drop_subscriptions(self, connection: asyncpg.Connection, database: str) -> None:
        """Drop the subscription that an interrupted move left, without which a database can be dropped."""
        select = """
            SELECT subname FROM pg_subscription JOIN pg_database ON pg_database.oid = subdbid WHERE datname = $1"""
        rows = await connection.fetch(select, database, timeout=STATEMENT_SECONDS)
        if not rows:
            return
        inside = await self._connect(database=database)
        try:
            for row in rows:
                for statement in ("ALTER {} DISABLE", "ALTER {} SET (slot_name = NONE)", "DROP {}"):
                    name = f'SUBSCRIPTION "{row["subname"]}"'
                    await inside.execute(statement.format(name), timeout=STATEMENT_SECONDS)
        finally:
            await inside.close(timeout=CONNECT_SECONDS)

    async def drop_stale(self) -> list[str]:
        """Drop what killed runs of this machine left on a given server; return the names."""
        connection = await self._connect()
        try:
            rows = await connection.fetch(
                "SELECT rolname, shobj_description(oid, 'pg_authid') AS owner "
                "FROM pg_roles WHERE starts_with(rolname, $1)",
                RUN_PREFIX,
                timeout=STATEMENT_SECONDS,
            )
        finally:
            await connection.close(timeout=CONNECT_SECONDS)
        stale = [row["rolname"] for row in rows if _is_left_over(row["owner"])]
        if stale:
            await self.drop(stale)
        return stale

    async def _connect(self, *, database: str | None = None) -> asyncpg.Connection:
        try:
            return await asyncpg.connect(self.admin_dsn, database=database, timeout=CONNECT_SECONDS)
        except ValueError as error:
            # The parser's own message may quote a part of the DSN with the password.
            raise DatabaseUnavailable(
                "PLUMB_POSTGRES_DSN is not of the form postgresql://user:password@host:port/database."
            ) from error
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise DatabaseUnavailable(
                f"cannot use PostgreSQL at {_host_of(self.admin_dsn)}: {_reason(error)}. "
                "Start that server and check the address in PLUMB_POSTGRES_DSN, or unset it to use the embedded one."
            ) from error


def new_run_prefix() -> str:
    """Return a new prefix for the names of one run on a given server."""
    return f"{RUN_PREFIX}{secrets.token_hex(4)}_"


def replace_login(dsn: str, *, user: str, password: str, database: str) -> str:
    """Return `dsn` with another login and database."""
    parts = urlsplit(dsn)
    hosts = parts.netloc.rpartition("@")[2]
    login = {"user", "password", "dbname", "database"}
    query = [(key, value) for key, value in parse_qsl(parts.query) if key not in login]
    return urlunsplit((parts.scheme, f"{user}:{password}@{hosts}", f"/{database}", urlencode(query), ""))


def replace_port(dsn: str, port: int) -> str:
    """Return `dsn` with another port on the same host."""
    parts = urlsplit(dsn)
    host = parts.netloc.rpartition(":")[0]
    return urlunsplit(parts._replace(netloc=f"{host}:{port}"))


def _host_of(dsn: str) -> str:
    return urlsplit(dsn).netloc.rpartition("@")[2] or "the default address"


def _is_left_over(comment: str | None) -> bool:
    """Return whether a role belongs to a run of this machine whose supervisor has ended; never for other machines."""
    try:
        owner = json.loads(comment or "")
        machine, pid, token = owner["machine"], int(owner["supervisor_pid"]), str(owner["token"])
    except (ValueError, KeyError, TypeError):
        return False
    return bool(machine == _machine()) and not is_same_process(pid, token)


def _machine() -> str:
    """Return the name of this machine without quotes."""
    return platform.node().replace("'", "")


def _reason(error: Exception) -> str:
    """Return the reason of a failed connection in plain words."""
    match error:
        case ConnectionRefusedError():
            return "nothing listens there"
        case TimeoutError():
            return f"no answer within {CONNECT_SECONDS:.0f} s"
        case _:
            return str(error) or type(error).__name__
