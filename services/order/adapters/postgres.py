"""How are orders kept in PostgreSQL? A constant number of statements a use case, whatever the lines."""

from uuid import UUID

from services.infra.idempotency import claim
from services.infra.postgres import Database
from services.order.adapters.page_token import decode_page_token, encode_page_token
from services.order.adapters.rows import order_of, rejection_to_json, summary_of
from services.order.api import CancelOrder, ListOrders, OrderNotFound, OrderPage, PlaceOrder, VersionConflict
from services.order.domain.order import Order


class PostgresOrders:
    """Satisfies `ports.Orders`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def add(self, order: Order, command: PlaceOrder) -> Order:
        """Store the order with the command's request id, or return the one that came first with it."""
        async with self._database.transaction() as transaction:
            first_id = await claim(
                transaction,
                scope=str(command.customer_id),
                request_id=command.request_id,
                command=command,
                resource_id=order.order_id,
            )
            if first_id is None:
                # Purpose: the order and its lines, PENDING, in one statement.
                insert = """
                    WITH inserted AS (
                        INSERT INTO orders (order_id, customer_id, state, version, line_count, create_time, update_time)
                        VALUES ($1, $2, $3, $4, cardinality($7::text[]), $5, $6))
                    INSERT INTO order_lines (order_id, line_number, sku, quantity)
                    SELECT $1, row_number, sku, quantity
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
                )
                return order
        return await self.get(first_id, command.customer_id)

    async def claim(self, command: CancelOrder) -> None:
        """Take the command's request id in a transaction of its own: the effect is in another database."""
        async with self._database.transaction() as transaction:
            await claim(
                transaction,
                scope=str(command.customer_id),
                request_id=command.request_id,
                command=command,
                resource_id=command.order_id,
            )

    async def get(self, order_id: UUID, customer_id: UUID) -> Order:
        """Return the customer's order; another's is not found."""
        # Purpose: an order with its lines in one row.
        select = """
            SELECT o.*, l.* FROM orders o, LATERAL (
                SELECT array_agg(sku ORDER BY line_number) AS skus,
                    array_agg(quantity ORDER BY line_number) AS quantities,
                    array_agg(currency_code ORDER BY line_number) AS currencies,
                    array_agg(unit_price_minor ORDER BY line_number) AS prices
                FROM order_lines WHERE order_id = $1) l
            WHERE o.order_id = $1 AND o.customer_id = $2"""
        rows = await self._database.fetch("SELECT orders", select, order_id, customer_id)
        if not rows:
            raise OrderNotFound(order_id)
        return order_of(rows[0])

    async def save(self, order: Order) -> None:
        """Store the order's next version with its prices, if the one before is still there."""
        # Purpose: the state and the prices in one statement, guarded by the version.
        update = """
            WITH saved AS (
                UPDATE orders SET state = $3, version = $2, currency_code = $4, total_minor = $5, rejection = $6,
                    update_time = $7
                WHERE order_id = $1 AND version = $2 - 1 RETURNING order_id),
            priced AS (
                UPDATE order_lines SET currency_code = $4, unit_price_minor = price
                FROM saved, unnest($8::bigint[]) WITH ORDINALITY AS line (price, row_number)
                WHERE order_lines.order_id = saved.order_id AND line_number = row_number
                    AND unit_price_minor IS DISTINCT FROM price)
            SELECT order_id FROM saved"""
        async with self._database.transaction() as transaction:
            rows = await transaction.fetch(
                "UPDATE orders",
                update,
                order.order_id,
                order.version,
                order.state.value,
                order.total and order.total.currency_code,
                order.total and order.total.minor_units,
                rejection_to_json(order.rejection),
                order.update_time,
                [line.unit_price and line.unit_price.minor_units for line in order.lines],
            )
            if not rows:
                raise VersionConflict(order.order_id)

    async def page(self, query: ListOrders) -> OrderPage:
        """Return a page by keyset: the cost does not grow with the page's number."""
        after = decode_page_token(query.page_token, query.customer_id)
        # Purpose: one page and one row more, which says whether there is a next page.
        select = """
            SELECT order_id, state, line_count, currency_code, total_minor, create_time FROM orders
            WHERE customer_id = $1 AND ($2::timestamptz IS NULL OR (create_time, order_id) < ($2, $3))
            ORDER BY create_time DESC, order_id DESC LIMIT $4"""
        create_time, order_id = after or (None, None)
        rows = await self._database.fetch(
            "SELECT orders page", select, query.customer_id, create_time, order_id, query.page_size + 1
        )
        page = tuple(summary_of(row) for row in rows[: query.page_size])
        has_more = len(rows) > query.page_size
        token = encode_page_token(page[-1].create_time, page[-1].order_id, query.customer_id) if has_more else ""
        return OrderPage(page, token)
