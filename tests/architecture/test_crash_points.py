"""Checks that the list of crash points has each durable step of the shop."""

import ast
from collections.abc import Iterator
from pathlib import Path

from shop.inventory.v1.inventory_service_pb2 import DESCRIPTOR

from observability.chaos.crash_point_catalog import OUTSIDE, points_of

SERVICES = Path(__file__).parents[2] / "services"
CONSUMERS = ("order_summaries", "notification")


def test_every_transaction_is_listed() -> None:
    """Except those that say why no campaign brings them about."""
    listed = {point.removesuffix(".before_commit") for point in points() if point.endswith(".before_commit")}
    assert transactions() == listed | OUTSIDE.keys()


def test_every_point_within_a_step_is_listed() -> None:
    assert literals("reached") == {point for point in points() if not point.endswith(("_commit", "_call"))}


def test_every_call_that_changes_inventory_is_listed() -> None:
    """A change has a request id; restocking is no business of the order service."""
    methods = DESCRIPTOR.services_by_name["InventoryService"].methods
    changing = {method.name for method in methods if "request_id" in method.input_type.fields_by_name} - {"Restock"}
    assert {point.removesuffix(".before_call") for point in points() if point.endswith(".before_call")} == changing


def points() -> set[str]:
    """Return the names of all points of both modes and buses."""
    return {
        point.name
        for mode in ("services", "monolith")
        for bus in ("postgres", "nats")
        for moves in (False, True)
        for own in points_of(mode, bus, moves=moves).values()
        for point in own
    }


def transactions() -> set[str]:
    """Return the names of all transactions in the code, with those of each consumer."""
    names = set()
    for name in literals("transaction"):
        names |= {name.replace("{}", consumer) for consumer in CONSUMERS} if "{}" in name else {name}
    return names


def literals(method: str) -> set[str]:
    """Return the texts that a method is called with anywhere in services, with "{}" for each value of an f-string."""
    return {
        text
        for path in SERVICES.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == method
        for argument in node.args[:1]
        for text in text_of(argument)
    }


def text_of(argument: ast.expr) -> Iterator[str]:
    """Yield the text of a literal or an f-string; one that begins with a value is found where its callers pass it."""
    if isinstance(argument, ast.Constant):
        yield str(argument.value)
    elif isinstance(argument, ast.JoinedStr):
        text = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in argument.values)
        if not text.startswith("{}"):
            yield text
