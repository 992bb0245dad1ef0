"""Steps of a shard move on the target, the server that gets the logical shard. Each step can be repeated.

PostgreSQL copies the rows and follows their changes, as the subscriber of a publication with a row filter. Events get
new sequences here, and all of them go into the outbox, so that the server's event log has every event of its orders.
"""

from services.infra.crash_points import crash_points
from services.order.adapters.shard_fences import hold_fence, lift_fence, raise_fence
from services.order.adapters.shard_move_session import (
    NAME,
    Connection,
    Move,
    MoveRefused,
    MoveSession,
    delete_rows,
)

# With these a statement that holds a password is in no log and in no statistics of the server.
SILENCE = {
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_min_error_statement": "panic",
    "pg_stat_statements.track_utility": "off",
}
# The subscription of this database; the catalogue has those of all databases.
OWN = f"""
    SELECT oid FROM pg_subscription
    WHERE subname = '{NAME}' AND subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())"""  # noqa: S608  # constants
# Purpose: an event of an order comes after those of lower versions.
QUEUE = """
    INSERT INTO outbox (stream_id, version, logical_shard)
    SELECT stream_id, version, logical_shard FROM events WHERE logical_shard = $1 AND sequence > $2
    ORDER BY sequence ON CONFLICT DO NOTHING"""


class MoveTarget:
    """The server that gets the logical shard."""

    def __init__(self, session: MoveSession, move: Move) -> None:
        self._session = session
        self._move = move

    async def check(self) -> None:
        """Raise MoveRefused unless the server can subscribe, and keep the source's password out of its log."""
        connection, target = self._session.connection, self._move.target
        if not await connection.fetchval("SELECT pg_has_role('pg_create_subscription', 'USAGE')"):
            raise MoveRefused(f"the role of server {target} needs pg_create_subscription")
        # Purpose: a parameter of an extension that is not loaded has no row, and needs no right.
        select = """
            SELECT string_agg(name, ', ' ORDER BY name) FROM pg_settings
            WHERE name = ANY($1) AND context = 'superuser' AND NOT has_parameter_privilege(name, 'SET')"""
        if missing := await connection.fetchval(select, list(SILENCE)):
            raise MoveRefused(f"the role of server {target} needs GRANT SET ON PARAMETER {missing}")

    async def is_active(self) -> bool:
        """Return whether the server may write the logical shard by now."""
        select = "SELECT count(*) FROM shard_fences WHERE logical_shard = $1 AND epoch = $2 AND NOT fenced"
        return bool(await self._session.connection.fetchval(select, self._move.logical_shard, self._move.epoch))

    async def is_subscribed(self) -> bool:
        """Return whether there is a subscription."""
        return await self._session.connection.fetchval(OWN) is not None

    async def prepare(self) -> None:
        """Fence the logical shard here, so that its copied sagas are left alone, and delete what is left of it."""
        move = self._move
        async with self._session.transaction("shard_move.fence_target") as connection:
            if not await raise_fence(connection, move.logical_shard, move.epoch):
                raise MoveRefused("another process has continued this move")
        if not await self.is_subscribed():
            async with self._session.transaction("shard_move.empty_target") as connection:
                await self._hold_fence(connection)
                await delete_rows(connection, move.logical_shard)
                update = "UPDATE shard_fences SET ordered_to = NULL WHERE logical_shard = $1"
                await connection.execute(update, move.logical_shard)

    async def subscribe(self, source_dsn: str, slot: str) -> None:
        """Let the server copy and follow the rows that the source publishes."""
        connection = self._session.connection
        if not await self.is_subscribed():
            for name, value in SILENCE.items():
                await connection.execute("SELECT set_config($1, $2, false)", name, value)
            address = source_dsn.replace("'", "''")
            async with self._session.transaction("shard_move.subscribe"):
                await connection.execute(
                    f"CREATE SUBSCRIPTION {NAME} CONNECTION '{address}' PUBLICATION {NAME}"
                    f" WITH (create_slot = false, slot_name = '{slot}')"
                )
        await connection.execute(f"ALTER SUBSCRIPTION {NAME} ENABLE")

    async def unsubscribe(self) -> None:
        """Drop the subscription, since its slot is lost."""
        async with self._session.transaction("shard_move.unsubscribe") as connection:
            await drop_subscription(connection)

    async def is_copied(self) -> bool:
        """Return whether all tables are copied."""
        select = f"SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel WHERE srsubid = ({OWN})"  # noqa: S608  # a constant
        return bool(await self._session.connection.fetchval(select))

    async def is_ordered(self) -> bool:
        """Return whether the copied events are in order."""
        select = "SELECT ordered_to IS NOT NULL FROM shard_fences WHERE logical_shard = $1"
        return bool(await self._session.connection.fetchval(select, self._move.logical_shard))

    async def pause(self) -> None:
        """Stop following; `is_paused` says when it has."""
        await self._session.connection.execute(f"ALTER SUBSCRIPTION {NAME} DISABLE")
        crash_points.reached("shard_move.paused")

    async def is_paused(self) -> bool:
        """Return whether nothing is written by the subscription."""
        select = f"SELECT count(*) FROM pg_stat_subscription WHERE subid = ({OWN}) AND pid IS NOT NULL"  # noqa: S608  # a constant
        return not await self._session.connection.fetchval(select)

    async def order_events(self) -> None:
        """Give the copied events sequences in order of their versions, put them into the outbox, and follow again."""
        # Purpose: a copy comes in any order, and a lost log is filled again in order of the sequences. MATERIALIZED
        # draws each number once, in order; a subquery may be run again for each row that it is joined with.
        number = """
            WITH sorted AS (SELECT stream_id, version FROM events WHERE logical_shard = $1 ORDER BY stream_id, version),
            numbered AS MATERIALIZED (
                SELECT stream_id, version, nextval(pg_get_serial_sequence('events', 'sequence')) AS sequence
                FROM sorted)
            UPDATE events SET sequence = numbered.sequence FROM numbered
            WHERE events.stream_id = numbered.stream_id AND events.version = numbered.version
                AND events.logical_shard = $1"""
        async with self._session.transaction("shard_move.order_events") as connection:
            await self._hold_fence(connection)
            await connection.execute(number, self._move.logical_shard)
            await connection.execute(QUEUE, self._move.logical_shard, 0)
            # Purpose: tell the copied events from those that arrive later, which get higher sequences.
            update = """
                UPDATE shard_fences SET ordered_to = (SELECT coalesce(max(sequence), 0) FROM events)
                WHERE logical_shard = $1"""
            await connection.execute(update, self._move.logical_shard)
        await self._session.connection.execute(f"ALTER SUBSCRIPTION {NAME} ENABLE")

    async def activate(self) -> None:
        """Put the events that followed into the outbox, end the subscription, and lift the fence."""
        move = self._move
        async with self._session.transaction("shard_move.activate") as connection:
            await self._hold_fence(connection)
            select = "SELECT ordered_to FROM shard_fences WHERE logical_shard = $1"
            await connection.execute(QUEUE, move.logical_shard, await connection.fetchval(select, move.logical_shard))
            await drop_subscription(connection)
            await lift_fence(connection, move.logical_shard, epoch=move.epoch)

    async def _hold_fence(self, connection: Connection) -> None:
        """Keep the fence until the transaction ends. Raises MoveRefused."""
        if not await hold_fence(connection, self._move.logical_shard, self._move.epoch):
            raise MoveRefused("another process has continued this move")


async def drop_subscription(connection: Connection) -> None:
    """Drop the subscription, in the caller's transaction; its slot is dropped on the source, by itself."""
    await connection.execute(f"ALTER SUBSCRIPTION {NAME} DISABLE")
    await connection.execute(f"ALTER SUBSCRIPTION {NAME} SET (slot_name = NONE)")
    await connection.execute(f"DROP SUBSCRIPTION {NAME}")
