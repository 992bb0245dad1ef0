"""Tests of `plumb bench order-cost`, which runs the platform and the stock parts side by side."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from observability.bench.order_cost import FULL, STOCK_NO_TELEMETRY, VARIANTS, OrderCostOptions, measure
from observability.cli.bench.order_cost import show

OURS = {"order", "inventory", "notification", "postgres", "receiver"}
TRIED = {name: VARIANTS[name] for name in (FULL, STOCK_NO_TELEMETRY)}


@pytest.mark.full
async def test_the_cost_of_an_order_is_measured_by_process(tmp_path: Path) -> None:
    """Round trips and spans are counted. Processor time is measured in ticks of 10 ms and says little here."""
    options = OrderCostOptions(rounds=2, requests=20, lines=(3, 3), idle_seconds=1.0, seed=1, directory=tmp_path)
    costs = await measure(options, say=print, variants=TRIED)
    ours, stock = costs.blocks[FULL], costs.blocks[STOCK_NO_TELEMETRY]
    assert (len(ours), len(stock)) == (2, 2)
    assert {frozenset(block.cpu_seconds) for block in ours} == {frozenset(OURS)}
    assert {frozenset(block.cpu_seconds) for block in stock} == {frozenset(OURS - {"notification"})}
    # An order makes four transactions or more, of four statements or more.
    assert all(block.round_trips > 15 for block in (*ours, *stock))
    assert all(block.spans > 15 for block in ours)
    assert all(block.spans == 0 for block in stock)
    printed = StringIO()
    show(Console(width=200, file=printed), costs)
    assert "round trips to PostgreSQL" in printed.getvalue()
