"""Comparison of two ways to run the same code: ratio and difference of latency and CPU time."""

import math
from dataclasses import replace

import pytest

from observability.experiments.runner.artifacts import BlockRecord
from observability.experiments.runner.measurement import measure
from tests.unit.experiments.making import blocks


def made(after: float, *, cpu_after: float, pairs: int = 3) -> list[BlockRecord]:
    """Pairs of 100 orders that took 45 ms of processor each, and `cpu_after` times as much after."""
    return [
        replace(
            each,
            block=replace(each.block, orders=100, cpu_seconds={"shop": 4.5 * (cpu_after ** (each.side == "after"))}),
        )
        for each in blocks(after)
        if each.pair <= pairs
    ]


def test_latency_is_reported_as_ratio_and_difference() -> None:
    p50, p95 = measure(made(0.5, cpu_after=1)).latency
    assert (p50.name, p95.name) == ("p50", "p95")
    assert p50.before == pytest.approx(0.15)
    assert p50.after == pytest.approx(0.075)
    assert p50.ratio.value == pytest.approx(0.5, rel=0.01)
    assert p50.difference.value == pytest.approx(-0.075)
    assert p50.difference.low < -0.075 < p50.difference.high < 0


def test_processor_time_is_reported_for_each_order() -> None:
    cpu = measure(made(1.0, cpu_after=0.8)).cpu
    assert cpu.before == pytest.approx(0.045)
    assert cpu.after == pytest.approx(0.036)
    assert cpu.ratio.value == pytest.approx(0.8)
    assert cpu.difference.value == pytest.approx(-0.009)


def test_one_pair_does_not_say_how_sure_a_difference_is() -> None:
    difference = measure(made(0.5, cpu_after=1, pairs=1)).latency[0].difference
    assert (difference.low, difference.high) == (-math.inf, math.inf)


def test_a_measurement_is_one_line() -> None:
    said = measure(made(0.5, cpu_after=0.8)).sentence()
    assert "p50 150.0 ms, 75.0 after: -75.0 ms (" in said
    assert "processor an order 45.0 ms, 36.0 after: -9.0 ms (-9.0 to -9.0), x 0.80 (0.80-0.80)" in said
