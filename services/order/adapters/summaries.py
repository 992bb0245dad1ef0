"""The read model of orders: a row for each order in its customer's list, updated by the order's events."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from time import monotonic
from uuid import UUID

import asyncpg

from services.infra import deadline
from services.infra.admission import waiting_downstream
from services.infra.postgres import Database, Transaction
from services.order.adapters.page_token import decode_page_token, encode_page_token
from services.order.adapters.rows import summary_of
from services.order.api import ListOrders, OrderPage, OrderSnapshot, ReadModelBehind
from services.order.consistency_token import OrderVersion

TABLE = "order_summaries"
# A customer's last change is usually in the list within a tenth of a second.
MOST_WAIT_SECONDS = 2.0
FIRST_POLL_SECONDS = 0.01
LONGEST_POLL_SECONDS = 0.2
# As many as the database can serve while all of them poll; a further request is rejected at once.
MOST_WAITING = 16
# Limit of one customer, so that a customer who repeats a request does not use up all 16.
MOST_WAITING_PER_CUSTOMER = 4
RETRY_AFTER_SECONDS = 1.0


# One page, and one more row, which shows whether there is a next page. The first page begins after the greatest
# possible key. With `$2 IS NULL OR ...` instead, the generic plan that PostgreSQL makes after five executions reads a
# customer's whole list for every page.
PAGE = """
    SELECT order_id, state, line_count, currency_code, total_minor, create_time FROM order_summaries
    WHERE customer_id = $1 AND (create_time, order_id)
        < (coalesce($2, timestamptz 'infinity'), coalesce($3, uuid 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
    ORDER BY create_time DESC, order_id DESC LIMIT $4"""


class PostgresSummaries:
    """Satisfies `ports.Summaries`, on the read model's database."""

    def __init__(self, *, database: Database) -> None:
        self._database = database
        self._waiting: Counter[UUID] = Counter()

    async def wait_for(self, seen: OrderVersion) -> None:
        """Return at once when the list is recent enough; otherwise wait, unless too many requests wait already.

        A waiting request needs no admission slot, so it does not keep out requests that need not wait.
        """
        if await self._holds(seen):
            return
        customer_id = seen.customer_id
        if self._waiting.total() >= MOST_WAITING or self._waiting[customer_id] >= MOST_WAITING_PER_CUSTOMER:
            raise ReadModelBehind(RETRY_AFTER_SECONDS)
        self._waiting[customer_id] += 1
        try:
            with waiting_downstream():
                await self._wait(seen)
        finally:
            self._waiting[customer_id] -= 1
            if not self._waiting[customer_id]:
                del self._waiting[customer_id]

    async def page_since(self, query: ListOrders, seen: OrderVersion) -> OrderPage:
        """Return a page, as soon as the list is recent enough."""
        await self.wait_for(seen)
        return await self.page(query)

    async def find_page(self, query: ListOrders, seen: OrderVersion) -> OrderPage | None:
        """Return a page if the list is recent enough, else None; the next read of a standby may be older again."""
        # Purpose: one snapshot says whether the list is recent enough and has the page; an empty one is a row of NULL.
        select = f"""
            SELECT page.* FROM (
                SELECT FROM order_summaries WHERE order_id = $5 AND customer_id = $1 AND version >= $6) seen
            LEFT JOIN LATERAL ({PAGE}) page ON true ORDER BY create_time DESC, order_id DESC"""  # noqa: S608  # constant
        rows = await self._fetch_page("SELECT order_summaries page since", select, query, seen.order_id, seen.version)
        return page_of([row for row in rows if row["order_id"]], query) if rows else None

    async def _wait(self, seen: OrderVersion) -> None:
        """Poll until the deadline: a NOTIFY would cost the writer more."""
        ends = monotonic() + min(MOST_WAIT_SECONDS, deadline.remaining_seconds() - deadline.MARGIN_SECONDS)
        poll_seconds = FIRST_POLL_SECONDS
        while True:
            if monotonic() + poll_seconds > ends:
                raise ReadModelBehind(RETRY_AFTER_SECONDS)
            await asyncio.sleep(poll_seconds)
            if await self._holds(seen):
                return
            poll_seconds = min(2 * poll_seconds, LONGEST_POLL_SECONDS)

    async def page(self, query: ListOrders) -> OrderPage:
        """Return a page by keyset, so that the cost does not grow with the page's number."""
        return page_of(await self._fetch_page("SELECT order_summaries page", PAGE, query), query)

    async def _fetch_page(
        self, summary: str, select: str, query: ListOrders, *more: object
    ) -> Sequence[asyncpg.Record]:
        create_time, order_id = decode_page_token(query.page_token, query.customer_id) or (None, None)
        arguments = (query.customer_id, create_time, order_id, query.page_size + 1)
        return await self._database.fetch(summary, select, *arguments, *more)

    async def _holds(self, seen: OrderVersion) -> bool:
        # Purpose: a look-up by primary key.
        select = "SELECT FROM order_summaries WHERE order_id = $1 AND customer_id = $2 AND version >= $3"
        arguments = (seen.order_id, seen.customer_id, seen.version)
        return bool(await self._database.fetch("SELECT order_summaries version", select, *arguments))


def page_of(rows: Sequence[asyncpg.Record], query: ListOrders) -> OrderPage:
    """Return the page in rows of PAGE."""
    page = tuple(summary_of(row) for row in rows[: query.page_size])
    has_more = len(rows) > query.page_size
    token = encode_page_token(page[-1].create_time, page[-1].order_id, query.customer_id) if has_more else ""
    return OrderPage(page, token)


async def project(transaction: Transaction, snapshots: Sequence[OrderSnapshot], *, table: str = TABLE) -> int:
    """Update the list to these snapshots, in any order; return how many were newer than the list."""
    # Purpose: only the latest snapshot of an order counts, and only when the row is older.
    upsert = f"""
        WITH snapshot AS (
            SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::int[], $6::text[], $7::bigint[],
                $8::timestamptz[], $9::timestamptz[]) AS snapshot (order_id, customer_id, version, state, line_count,
                currency_code, total_minor, create_time, update_time)),
        held AS (SELECT order_id, version FROM {table} WHERE order_id = ANY($1)),
        upserted AS (
            INSERT INTO {table} AS kept (order_id, customer_id, version, state, line_count, currency_code, total_minor,
                create_time, update_time)
            SELECT DISTINCT ON (order_id) * FROM snapshot ORDER BY order_id, version DESC
            ON CONFLICT (order_id) DO UPDATE SET customer_id = excluded.customer_id, version = excluded.version,
                state = excluded.state, line_count = excluded.line_count, currency_code = excluded.currency_code,
                total_minor = excluded.total_minor, create_time = excluded.create_time,
                update_time = excluded.update_time
            WHERE kept.version < excluded.version)
        SELECT count(DISTINCT (order_id, snapshot.version)) AS newer FROM snapshot LEFT JOIN held USING (order_id)
        WHERE snapshot.version > coalesce(held.version, 0)"""  # noqa: S608  # the table is one of two constants
    if not snapshots:
        return 0
    (row,) = await transaction.fetch(f"UPSERT {table}", upsert, *_columns(snapshots))
    newer: int = row["newer"]
    return newer


def _columns(snapshots: Sequence[OrderSnapshot]) -> tuple[list[object], ...]:
    """Return the snapshots as one list a column, in the order of the INSERT."""
    return (
        [snapshot.order_id for snapshot in snapshots],
        [snapshot.customer_id for snapshot in snapshots],
        [snapshot.version for snapshot in snapshots],
        [snapshot.state.value for snapshot in snapshots],
        [snapshot.line_count for snapshot in snapshots],
        [snapshot.total and snapshot.total.currency_code for snapshot in snapshots],
        [snapshot.total and snapshot.total.minor_units for snapshot in snapshots],
        [snapshot.create_time for snapshot in snapshots],
        [snapshot.update_time for snapshot in snapshots],
    )
