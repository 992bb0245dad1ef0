"""Contents of the shop's databases when everything is quiet: what became of all requests."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import orjson

from observability.chaos.history import Delivered
from observability.testbed.api_clients import detail_of_rejection, detail_of_total
from observability.testbed.requests import RequestedLine, StoredOrder
from services.kernel.money import Money

_TIMEOUT_SECONDS = 30.0
# Why an order is rejected whose stock was reserved, and given back since it makes no sale.
UNSOLD = frozenset({"CURRENCY_MISMATCH", "ORDER_TOTAL_EXCEEDED"})


async def read_orders(databases: Mapping[str, str], *, since: datetime) -> list[StoredOrder]:
    """Return every order, with the ids of the requests it is kept under; its seconds count from `since`."""
    # Purpose: one row an order; keys have no index by what they are about, so that they are grouped once.
    select = """
        SELECT o.order_id, customer_id, state, version, currency_code, total_minor, rejection, skus, units, keys,
            create_time, wish_time
        FROM orders o
        JOIN (SELECT order_id, array_agg(sku ORDER BY line_number) AS skus,
                array_agg(quantity ORDER BY line_number) AS units
            FROM order_lines GROUP BY order_id) lines USING (order_id)
        LEFT JOIN (SELECT resource_id, array_agg(request_id) AS keys FROM idempotency_keys GROUP BY resource_id) kept
            ON resource_id = o.order_id
        LEFT JOIN (SELECT stream_id AS order_id, occur_time AS wish_time
            FROM events WHERE type = 'order.cancellation_requested') wish USING (order_id)"""
    reasons = await read_reasons(databases["inventory"])
    return [_order_of(row, since, reasons) for row in await _fetch(databases["order"], select)]


async def read_reasons(inventory_dsn: str) -> dict[UUID, frozenset[str]]:
    """Return, by reservation, the details of a rejection that its end allows; none where it allows no rejection."""
    # Purpose: one row for each reservation that ended without a sale.
    select = """
        SELECT reservation_id, state, shortages, unknown_skus FROM reservations
        WHERE state IN ('REJECTED', 'RELEASED', 'EXPIRED')"""
    return {row["reservation_id"]: _reasons_of(row) for row in await _fetch(inventory_dsn, select)}


async def read_deliveries(inventory_dsn: str) -> list[Delivered]:
    """Return what was delivered, by the ledger."""
    # Purpose: every delivery, under the id of the request that brought it.
    select = "SELECT cause, sku, quantity FROM stock_ledger WHERE kind = 'RESTOCKED'"
    rows = await _fetch(inventory_dsn, select)
    return [Delivered(row["cause"], row["sku"], row["quantity"]) for row in rows]


async def read_noise(inventory_dsn: str, reservation_ids: Collection[UUID]) -> dict[str, str]:
    """Return those of the reservations that are there, by id, each with its state."""
    # Purpose: what was set aside for no order, to be told from what an order lost.
    select = "SELECT reservation_id, state FROM reservations WHERE reservation_id = ANY($1)"
    rows = await _fetch(inventory_dsn, select, list(reservation_ids))
    return {str(row["reservation_id"]): row["state"] for row in rows}


async def _fetch(dsn: str, select: str, *arguments: object) -> Sequence[asyncpg.Record]:
    connection = await asyncpg.connect(dsn, timeout=_TIMEOUT_SECONDS)
    try:
        return await connection.fetch(select, *arguments, timeout=_TIMEOUT_SECONDS)
    finally:
        await connection.close(timeout=_TIMEOUT_SECONDS)


def _reasons_of(row: asyncpg.Record) -> frozenset[str]:
    match row["state"]:
        case "RELEASED":
            return UNSOLD
        case "EXPIRED":
            return UNSOLD | {"RESERVATION_EXPIRED"}
    skus, shortages = row["unknown_skus"], orjson.loads(row["shortages"] or "[]")
    reason = "SKU_NOT_FOUND" if skus else "OUT_OF_STOCK"
    return frozenset({detail_of_rejection({"reason": reason, "skus": skus, "shortages": shortages})})


def _order_of(row: asyncpg.Record, since: datetime, reasons: Mapping[UUID, frozenset[str]]) -> StoredOrder:
    total = None if row["total_minor"] is None else Money(row["currency_code"], row["total_minor"])
    rejection = None if row["rejection"] is None else orjson.loads(row["rejection"])
    return StoredOrder(
        order_id=str(row["order_id"]),
        customer_id=str(row["customer_id"]),
        state=row["state"],
        version=row["version"],
        lines=tuple(RequestedLine(sku, units) for sku, units in zip(row["skus"], row["units"], strict=True)),
        detail=detail_of_rejection(rejection) or detail_of_total(total),
        keys=frozenset(row["keys"] or ()),
        stored_seconds=(row["create_time"] - since).total_seconds(),
        cancel_stored_seconds=row["wish_time"] and (row["wish_time"] - since).total_seconds(),
        reasons=reasons.get(row["order_id"], frozenset()),
    )
