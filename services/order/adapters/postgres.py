"""Orders in PostgreSQL: each change stores an event and the order's row in one transaction."""

from uuid import UUID

from services.infra.idempotency import claim, find
from services.infra.postgres import Database, Transaction
from services.order.adapters.event_store import EventStore
from services.order.adapters.rows import order_of, rejection_to_json
from services.order.adapters.shard_fences import ShardFenced
from services.order.api import CancelOrder, OrderNotFound, PlaceOrder
from services.order.domain.logical_shard import logical_shard_of
from services.order.domain.order import Change, Order

LINES = """
    LATERAL (
        SELECT array_agg(sku ORDER BY line_number) AS skus,
            array_agg(quantity ORDER BY line_number) AS quantities,
            array_agg(currency_code ORDER BY line_number) AS currencies,
            array_agg(unit_price_minor ORDER BY line_number) AS prices
        FROM order_lines WHERE order_id = $1) l"""
# Purpose: an order with its lines in one row.
ORDER = f"SELECT o.*, l.* FROM orders o, {LINES} WHERE o.order_id = $1 AND o.customer_id = $2"  # noqa: S608  # a constant
# Purpose: always one row, which says of the same snapshot whether the server has the logical shard: while a move copies
# or deletes rows it does not.
ORDER_OR_FENCE = f"""
    SELECT o.*, l.*, is_fenced
    FROM (SELECT EXISTS (SELECT FROM shard_fences WHERE logical_shard = $3 AND fenced) AS is_fenced) fence
        LEFT JOIN orders o ON o.order_id = $1 AND o.customer_id = $2, {LINES}"""  # noqa: S608  # a constant


class PostgresOrders:
    """Satisfies `ports.Orders`. The events are the truth; the rows of `orders` are for reading.

    With `is_one_of_several` servers, a read raises ShardFenced unless the server has the customer's logical shard.
    """

    def __init__(self, *, database: Database, event_store: EventStore, is_one_of_several: bool = False) -> None:
        self._database = database
        self._event_store = event_store
        self._is_one_of_several = is_one_of_several

    async def add(self, placed: Change, command: PlaceOrder) -> Order:
        """Store the order with the command's request id, or return the order that was first stored with it."""
        async with self._database.transaction("place_order") as transaction:
            first_id = await claim(
                transaction,
                scope=str(command.customer_id),
                request_id=command.request_id,
                command=command,
                resource_id=placed.order.order_id,
                logical_shard=logical_shard_of(command.customer_id),
            )
            if first_id is None:
                await self._event_store.append(transaction, placed)
                await insert_order(transaction, placed.order)
                return placed.order
        return await self.get(first_id, command.customer_id)

    async def find(self, command: PlaceOrder) -> Order | None:
        """Return the order that was first stored with the command's request id; None without one."""
        scope, request_id = str(command.customer_id), command.request_id
        order_id = await find(self._database, scope=scope, request_id=request_id, command=command)
        return await self.get(order_id, command.customer_id) if order_id else None

    async def claim(self, command: CancelOrder, requested: Change | None) -> Order:
        """Store the cancellation request with the command's request id, in one transaction."""
        async with self._database.transaction("request_cancellation") as transaction:
            first_id = await claim(
                transaction,
                scope=str(command.customer_id),
                request_id=command.request_id,
                command=command,
                resource_id=command.order_id,
                logical_shard=logical_shard_of(command.customer_id),
            )
            if first_id is None and requested:
                await self._event_store.append(transaction, requested)
                await update_order(transaction, requested.order)
                return requested.order
        return await self.get(command.order_id, command.customer_id)

    async def get(self, order_id: UUID, customer_id: UUID) -> Order:
        """Return the customer's order. Raises OrderNotFound, also for another customer's order."""
        if self._is_one_of_several:
            shard = logical_shard_of(customer_id)
            rows = await self._database.fetch("SELECT orders", ORDER_OR_FENCE, order_id, customer_id, shard)
            if rows[0]["is_fenced"]:
                raise ShardFenced
        else:
            rows = await self._database.fetch("SELECT orders", ORDER, order_id, customer_id)
        if not rows or rows[0]["order_id"] is None:
            raise OrderNotFound(order_id)
        return order_of(rows[0])

    async def read(self, order_id: UUID, customer_id: UUID, *, version: int) -> Order:
        """Return the customer's order, always its latest version. Satisfies `ports.OrderReader`."""
        return await self.get(order_id, customer_id)

    async def save(self, change: Change) -> None:
        """Store the order's next event. Raises VersionConflict when its version is taken."""
        async with self._database.transaction("settle_order") as transaction:
            await self._event_store.append(transaction, change)
            await update_order(transaction, change.order)


async def insert_order(transaction: Transaction, order: Order) -> None:
    """Store the rows of a new order and of its lines."""
    # Purpose: the order and its lines, PENDING, in one statement.
    insert = """
        WITH inserted AS (
            INSERT INTO orders (order_id, customer_id, state, version, line_count, create_time, update_time,
                logical_shard)
            VALUES ($1, $2, $3, $4, cardinality($7::text[]), $5, $6, $9))
        INSERT INTO order_lines (order_id, line_number, sku, quantity, logical_shard)
        SELECT $1, row_number, sku, quantity, $9
        FROM unnest($7::text[], $8::int[]) WITH ORDINALITY AS line (sku, quantity, row_number)"""
    await transaction.execute(
        "INSERT orders",
        insert,
        order.order_id,
        order.customer_id,
        order.state.value,
        order.version,
        order.create_time,
        order.update_time,
        [line.sku for line in order.lines],
        [line.quantity for line in order.lines],
        logical_shard_of(order.customer_id),
    )


async def update_order(transaction: Transaction, order: Order) -> None:
    """Update the row of an order, and its lines' prices, to its latest event."""
    # Purpose: no condition on the version: only the transaction that stored this version's event comes here.
    update = """
        WITH saved AS (
            UPDATE orders SET state = $3, version = $2, currency_code = $4, total_minor = $5, rejection = $6,
                update_time = $7, cancellation_requested = $8
            WHERE order_id = $1)
        UPDATE order_lines SET currency_code = $4, unit_price_minor = price
        FROM unnest($9::bigint[]) WITH ORDINALITY AS line (price, row_number)
        WHERE order_id = $1 AND line_number = row_number AND unit_price_minor IS DISTINCT FROM price"""
    await transaction.execute(
        "UPDATE orders",
        update,
        order.order_id,
        order.version,
        order.state.value,
        order.total and order.total.currency_code,
        order.total and order.total.minor_units,
        rejection_to_json(order.rejection),
        order.update_time,
        order.cancellation_requested,
        [line.unit_price and line.unit_price.minor_units for line in order.lines],
    )
