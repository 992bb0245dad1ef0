"""Conversion of rows into orders and summaries."""

import asyncpg
import orjson

from services.kernel.money import Money
from services.order.api import OrderState, OrderSummary, PricedLine, Rejection, Shortage
from services.order.domain.order import Order


def money_of(currency_code: str | None, minor_units: int | None) -> Money | None:
    """Return the amount in two nullable columns."""
    return None if currency_code is None or minor_units is None else Money(currency_code, minor_units)


def order_of(row: asyncpg.Record) -> Order:
    """Return the order in a row of `orders` joined with arrays of its lines."""
    columns = (row["skus"], row["quantities"], row["currencies"], row["prices"])
    lines = tuple(
        PricedLine(sku, quantity, money_of(currency, minor))
        for sku, quantity, currency, minor in zip(*columns, strict=True)
    )
    return Order(
        order_id=row["order_id"],
        customer_id=row["customer_id"],
        state=OrderState(row["state"]),
        cancellation_requested=row["cancellation_requested"],
        lines=lines,
        total=money_of(row["currency_code"], row["total_minor"]),
        rejection=rejection_from_json(row["rejection"]),
        create_time=row["create_time"],
        update_time=row["update_time"],
        version=row["version"],
    )


def summary_of(row: asyncpg.Record) -> OrderSummary:
    """Return the summary in a row of `order_summaries`."""
    total = money_of(row["currency_code"], row["total_minor"])
    return OrderSummary(row["order_id"], OrderState(row["state"]), row["line_count"], total, row["create_time"])


def rejection_to_json(rejection: Rejection | None) -> str | None:
    """Return a rejection as the text of a jsonb column."""
    return orjson.dumps(rejection).decode() if rejection else None


def rejection_from_json(text: str | None) -> Rejection | None:
    """Return the rejection of a jsonb column."""
    if text is None:
        return None
    stored = orjson.loads(text)
    return Rejection(stored["reason"], tuple(Shortage(**short) for short in stored["shortages"]), tuple(stored["skus"]))
