"""Snapshot of the quiescent shop's databases: orders, rejection reasons, and deliveries."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import orjson

from observability.chaos.history import Delivered
from observability.testbed.api_clients import detail_of_rejection, detail_of_total
from observability.testbed.requests import RequestedLine, StoredOrder
from services.kernel.money import Money
from services.local.platform.plan import order_databases

_TIMEOUT_SECONDS = 30.0
# Rejections of orders whose stock was reserved, and released since they cannot be sold.
UNSELLABLE = frozenset({"CURRENCY_MISMATCH", "ORDER_TOTAL_EXCEEDED"})


async def read_orders(databases: Mapping[str, str], *, since: datetime) -> list[StoredOrder]:
    """Return every order, with the ids of its place requests; its seconds count from `since`."""
    # Purpose: one row an order. Idempotency keys have no index on the resource, so they are grouped once.
    select = """
        SELECT o.order_id, customer_id, state, version, currency_code, total_minor, rejection, skus, units, keys,
            create_time, cancel_time
        FROM orders o
        JOIN (SELECT order_id, array_agg(sku ORDER BY line_number) AS skus,
                array_agg(quantity ORDER BY line_number) AS units
            FROM order_lines GROUP BY order_id) lines USING (order_id)
        LEFT JOIN (SELECT resource_id, array_agg(request_id) AS keys FROM idempotency_keys GROUP BY resource_id) placed
            ON resource_id = o.order_id
        LEFT JOIN (SELECT stream_id AS order_id, occur_time AS cancel_time
            FROM events WHERE type = 'order.cancellation_requested') cancellation USING (order_id)"""
    reasons = await read_reasons(databases["inventory"])
    servers = [await _fetch(databases[name], select) for name in order_databases(databases)]
    return [_order_of(row, since, reasons) for rows in servers for row in rows]


async def read_reasons(inventory_dsn: str) -> dict[UUID, frozenset[str]]:
    """Return, by reservation, the rejection details that its final state allows; empty if it allows none."""
    # Purpose: one row for each reservation that ended without a sale.
    select = """
        SELECT reservation_id, state, shortages, unknown_skus FROM reservations
        WHERE state IN ('REJECTED', 'RELEASED', 'EXPIRED')"""
    return {row["reservation_id"]: _reasons_of(row) for row in await _fetch(inventory_dsn, select)}


async def read_deliveries(inventory_dsn: str) -> list[Delivered]:
    """Return the deliveries in the stock ledger."""
    # Purpose: every delivery, with the id of its request.
    select = "SELECT cause, sku, quantity FROM stock_ledger WHERE kind = 'RESTOCKED'"
    rows = await _fetch(inventory_dsn, select)
    return [Delivered(row["cause"], row["sku"], row["quantity"]) for row in rows]


async def read_noise(inventory_dsn: str, reservation_ids: Collection[UUID]) -> dict[str, str]:
    """Return the state of each given reservation that is stored, by id."""
    # Purpose: reservations made without an order, to distinguish them from those that an order lost.
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
            return UNSELLABLE
        case "EXPIRED":
            return UNSELLABLE | {"RESERVATION_EXPIRED"}
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
        cancel_stored_seconds=row["cancel_time"] and (row["cancel_time"] - since).total_seconds(),
        reasons=reasons.get(row["order_id"], frozenset()),
    )
