"""Figures and sentences of a demo's report, formatted for readers."""

from collections.abc import Mapping

from observability.analysis.quantiles import fewest_for
from observability.load.result import rounded_down
from observability.report.demo.result import QUANTILES, DemoResult, QuantileFigure, SideEffectFigure
from observability.report.pages import duration, milliseconds


def interval(figure: QuantileFigure) -> str:
    """Return a quantile's 95 % interval as text; with too few orders it has no upper bound."""
    low = "0" if figure.low_seconds is None else milliseconds(figure.low_seconds)
    if figure.high_seconds is None:
        return f"from {low} ms, too few orders for an upper bound"
    return f"{low} to {milliseconds(figure.high_seconds)} ms"


def quantile_name(q: float) -> str:
    """Write a quantile's usual name, as p99."""
    return f"p{q * 100:g}"


def quantiles(effect: SideEffectFigure) -> str:
    """List the quantiles of an effect, each with its unit."""
    told = ", ".join(f"{quantile_name(figure.q)} {duration(figure.seconds)}" for figure in effect.quantiles)
    return told or "too few values for a quantile"


def counts(by_name: Mapping[str, int]) -> str:
    """List names with their counts."""
    return ", ".join(f"{name} {count:,}" for name, count in by_name.items())


def share(part: int, whole: int) -> str:
    """Write a part of a whole in per cent."""
    return f"{100 * part / whole:.1f} %" if whole else "0 %"


def headline(result: DemoResult) -> str:
    """Return sentences about the outcomes of all orders, the latency of those sold, and why others failed."""
    orders = result.orders
    asked = (
        f"This machine sells about {rounded_down(result.capacity_per_second):g} orders a second; the demo ran at"
        f" {result.rate_per_second:g}."
    )
    return f"{asked} {orders.counted}. {_waits(result)} {orders.judged}"


def _waits(result: DemoResult) -> str:
    if not result.quantiles:
        return "Too few were sold for a latency quantile."
    half, tail = result.quantiles[0], result.quantiles[-1]
    said = f"Half of those sold were answered within {duration(half.seconds)}"
    return f"{said}." if half is tail else f"{said}, {tail.q * 100:g} % within {duration(tail.seconds)}."


def too_few(result: DemoResult) -> str:
    """Return the missing quantiles with the number of orders that each needs; empty when none is missing."""
    told = {figure.q for figure in result.quantiles}
    needed = (f"{quantile_name(q)} needs {fewest_for(q)} sold" for q in QUANTILES if q not in told)
    return f"{', '.join(needed)}" if len(told) < len(QUANTILES) else ""
