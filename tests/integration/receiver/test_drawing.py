"""`plumb trace` draws what a receiver recorded."""

import pytest
from typer.testing import CliRunner, Result

from observability.cli import main
from tests.integration.receiver.conftest import RunningReceiver
from tests.integration.receiver.http import export
from tests.integration.receiver.requests import request_of

TRACE = "01" * 16


def draw(receiver: RunningReceiver, identifier: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(main, ["trace", identifier, "--folder", str(receiver.directory)])


@pytest.mark.parametrize("identifier", [TRACE, f"00-{TRACE}-{'0' * 15}1-01"])
def test_a_trace_is_drawn_with_its_calls_below_it(receiver: RunningReceiver, identifier: str) -> None:
    request = request_of("POST /orders", "shop.inventory.v1.InventoryService/ReserveStock")
    spans = request.resource_spans[0].scope_spans[0].spans
    spans[1].parent_span_id = spans[0].span_id
    export(receiver.address, request.SerializeToString())
    said = draw(receiver, identifier)
    title, root, call = said.output.splitlines()
    assert said.exit_code == 0
    assert title.startswith("POST /orders (some-service), 0.0 ms; 2 spans in trace 0101")
    assert root.startswith("POST /orders (some-service) ")
    assert call.startswith("  InventoryService/ReserveStock (some-")
    assert "█" in call


def test_linked_traces_are_named(receiver: RunningReceiver) -> None:
    export(receiver.address, request_of("one").SerializeToString())
    later = request_of("process shop.orders")
    span = later.resource_spans[0].scope_spans[0].spans[0]
    span.trace_id = b"\2" * 16
    span.links.add(trace_id=b"\1" * 16, span_id=b"\1" * 8)
    export(receiver.address, later.SerializeToString())
    assert draw(receiver, TRACE).output.splitlines()[-1] == (
        f"linked by  process shop.orders (some-service), trace {'02' * 16}"
    )


@pytest.mark.parametrize(("identifier", "status"), [("02" * 16, 1), ("0101", 2)])
def test_an_undrawable_trace_is_one_line(receiver: RunningReceiver, identifier: str, status: int) -> None:
    export(receiver.address, request_of("one").SerializeToString())
    said = draw(receiver, identifier)
    assert (said.exit_code, said.stdout, said.stderr.count("\n")) == (status, "", 1)
