"""Serialisation of events in rows of `events`; older schema versions are upcast when they are read.

An event is never rewritten, so every schema version that was ever stored must stay readable:
tests/unit/order/golden has a row of each.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, assert_never
from uuid import UUID

import asyncpg
import orjson

from services.kernel.money import Money
from services.order.api import OrderLine, Rejection, Shortage
from services.order.domain.events import (
    CancellationRequested,
    Cancelled,
    Completed,
    Event,
    Placed,
    RecordedEvent,
    Rejected,
)

Data: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as it is stored.

    type: name of the event, such as order.placed.
    schema_version: version of the form of `data`, from 1.
    data: JSON.
    """

    type: str
    schema_version: int
    data: str


TYPES: Mapping[type[Event], tuple[str, int]] = {
    Placed: ("order.placed", 1),
    Completed: ("order.completed", 2),
    Rejected: ("order.rejected", 1),
    CancellationRequested: ("order.cancellation_requested", 1),
    Cancelled: ("order.cancelled", 1),
}


def store(event: Event) -> StoredEvent:
    """Return an event in its latest schema version."""
    name, schema_version = TYPES[type(event)]
    # asyncpg's UUIDs are a subclass that orjson does not serialise; str gives the same text.
    return StoredEvent(name, schema_version, orjson.dumps(data_of(event), default=str).decode())


def data_of(event: Event) -> Data:
    """Return the data of an event as plain values, for JSON."""
    match event:
        case Placed():
            return {"customer_id": str(event.customer_id), "lines": event.lines}
        case Completed():
            return {
                "currency_code": event.total.currency_code,
                "total_minor": event.total.minor_units,
                "unit_prices_minor": [price.minor_units for price in event.unit_prices],
            }
        case Rejected():
            rejection = event.rejection
            return {"reason": rejection.reason, "shortages": rejection.shortages, "skus": rejection.skus}
        case CancellationRequested() | Cancelled():
            return {}
    assert_never(event)


def recorded_of(row: asyncpg.Record) -> RecordedEvent:
    """Return the event in a row of `events`, of any schema version. Raises ValueError for an unknown type."""
    data = upcast(row["type"], row["schema_version"], orjson.loads(row["data"]))
    return RecordedEvent(row["version"], event_of(row["type"], data), row["occur_time"])


def event_of(name: str, data: Data) -> Event:
    """Return the event of a type from data in the latest schema version. Raises ValueError for an unknown type."""
    match name:
        case "order.placed":
            return Placed(UUID(data["customer_id"]), tuple(OrderLine(**line) for line in data["lines"]))
        case "order.completed":
            currency_code = data["currency_code"]
            unit_prices = tuple(Money(currency_code, minor_units) for minor_units in data["unit_prices_minor"])
            return Completed(unit_prices, Money(currency_code, data["total_minor"]))
        case "order.rejected":
            shortages = tuple(Shortage(**short) for short in data["shortages"])
            return Rejected(Rejection(data["reason"], shortages, tuple(data["skus"])))
        case "order.cancellation_requested":
            return CancellationRequested()
        case "order.cancelled":
            return Cancelled()
    raise ValueError(f"unknown event type {name}")


def upcast(name: str, schema_version: int, data: Data) -> Data:
    """Return an event's data in the latest schema version; each upcaster converts from one version to the next."""
    while upcaster := UPCASTERS.get((name, schema_version)):
        data = upcaster(data)
        schema_version += 1
    return data


def completed_from_1(data: Data) -> Data:
    """Convert version 1, which repeated each line's SKU beside its price."""
    prices = [line["unit_price_minor"] for line in data["lines"]]
    return {
        "currency_code": data["currency_code"],
        "total_minor": data["total_minor"],
        "unit_prices_minor": prices,
    }


UPCASTERS: Mapping[tuple[str, int], Callable[[Data], Data]] = {("order.completed", 1): completed_from_1}
