"""What is a basket, and what is an order planned from it?"""

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
    """A line of a basket as its file has it; no quantity where the file has none."""

    sku: str
    quantity: int | None = None


Basket = tuple[BasketLine, ...]


@dataclass(frozen=True, slots=True)
class PlannedOrder:
    """One order of a schedule: when it is due, in seconds from the start of the run, who places it, and what for.

    With `looks` nothing is ordered: the customer looks at what the lines name.
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
    """Plan one order and encode the JSON body of its POST /orders."""
    body = orjson.dumps({"lines": lines})
    return PlannedOrder(index, intended_seconds, customer_id, lines, body, looks)


def stream(seed: int, name: str) -> random.Random:
    """Give the random numbers of one purpose, so that drawing more for one purpose moves no other."""
    return random.Random(f"{seed}:{name}")
