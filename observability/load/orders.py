"""Baskets, and the orders planned from them."""

import random
from dataclasses import dataclass

import orjson


@dataclass(frozen=True, slots=True)
class PlannedLine:
    """`quantity` units of one SKU."""

    sku: str
    quantity: int


@dataclass(frozen=True, slots=True)
class BasketLine:
    """A line of a basket file. The quantity is None if the file has no quantities."""

    sku: str
    quantity: int | None = None


Basket = tuple[BasketLine, ...]


@dataclass(frozen=True, slots=True)
class PlannedOrder:
    """One request of an arrival plan.

    index: position in the plan, from 0.
    intended_seconds: when it is due, from the start of the run.
    customer_id: the customer who sends it.
    lines: what is ordered.
    body: the JSON body of POST /orders.
    looks: if true, the request only reads the stock hints of the lines' SKUs and orders nothing.
    """

    index: int
    intended_seconds: float
    customer_id: str
    lines: tuple[PlannedLine, ...]
    body: bytes
    looks: bool = False


def planned_order(
    *, index: int, intended_seconds: float, customer_id: str, lines: tuple[PlannedLine, ...], looks: bool = False
) -> PlannedOrder:
    """Return a planned order with the JSON body of its POST /orders."""
    body = orjson.dumps({"lines": lines})
    return PlannedOrder(index, intended_seconds, customer_id, lines, body, looks)


def stream(seed: int, name: str) -> random.Random:
    """Return the random numbers of one purpose, so that more draws for one purpose do not change another's."""
    return random.Random(f"{seed}:{name}")
