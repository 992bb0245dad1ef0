"""The event store of orders: appends an event with its outbox row and its saga, in the caller's transaction."""

from collections.abc import Callable

import orjson

from services.infra.postgres import Transaction
from services.order.adapters.event_rows import StoredEvent, store
from services.order.api import VersionConflict
from services.order.domain.logical_shard import logical_shard_of
from services.order.domain.order import Change, Order

# Records that an event of this type is stored, and returns the traceparent to store with it.
Sent = Callable[[str], str]


class EventStore:
    """Writes `events`, `outbox` and `sagas`. A saga is due `grace_seconds` after its order's last event."""

    def __init__(self, *, sent: Sent, grace_seconds: float) -> None:
        self._sent = sent
        self._grace_seconds = grace_seconds

    async def append(self, transaction: Transaction, change: Change) -> None:
        """Store an event, its outbox row, and a saga while the order is not at rest. Raises VersionConflict."""
        # Purpose: the first writer of a version wins, and nothing else is written unless the event is.
        insert = """
            WITH stored AS (
                INSERT INTO events (stream_id, version, type, schema_version, data, meta, occur_time, logical_shard)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $10)
                ON CONFLICT (stream_id, version, logical_shard) DO NOTHING
                RETURNING stream_id, version, logical_shard),
            queued AS (
                INSERT INTO outbox (stream_id, version, logical_shard)
                SELECT stream_id, version, logical_shard FROM stored),
            begun AS (
                INSERT INTO sagas (order_id, due_time, logical_shard)
                SELECT stream_id, clock_timestamp() + $9 * interval '1 second', logical_shard FROM stored WHERE NOT $8
                ON CONFLICT (order_id, logical_shard) DO UPDATE SET due_time = excluded.due_time, parked_reason = NULL,
                    park_time = NULL),
            ended AS (DELETE FROM sagas USING stored WHERE order_id = stream_id AND $8)
            SELECT version FROM stored"""
        order, event = change.order, store(change.event)
        arguments = (
            order.order_id,
            order.version,
            event.type,
            event.schema_version,
            event.data,
            self._meta(order, event),
            order.update_time,
            order.is_at_rest,
            self._grace_seconds,
            logical_shard_of(order.customer_id),
        )
        if not await transaction.fetch("INSERT events", insert, *arguments):
            raise VersionConflict(order.order_id)

    def _meta(self, order: Order, event: StoredEvent) -> str:
        meta: dict[str, object] = {
            "traceparent": self._sent(event.type),
            "customer_id": str(order.customer_id),
            "create_time": order.create_time,
            "line_count": len(order.lines),
            "state": order.state.value,
        }
        if order.total:
            meta |= {"currency_code": order.total.currency_code, "total_minor": order.total.minor_units}
        return orjson.dumps(meta).decode()
