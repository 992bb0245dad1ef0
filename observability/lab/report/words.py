"""How are figures written for people?"""

from collections.abc import Mapping

from observability.lab.report.result import DemoResult, Effect, QuantileFigure


def milliseconds(seconds: float) -> str:
    """Write a duration in milliseconds with three significant digits and no unit."""
    value = seconds * 1e3
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def duration(seconds: float) -> str:
    """Write a duration with its unit: milliseconds below a second."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{milliseconds(seconds)} ms"


def interval(figure: QuantileFigure) -> str:
    """Write a quantile's 95 % interval; a bound that so few orders cannot give is said to be open."""
    low = "0" if figure.low_seconds is None else milliseconds(figure.low_seconds)
    if figure.high_seconds is None:
        return f"from {low} ms, too few orders for an upper bound"
    return f"{low} to {milliseconds(figure.high_seconds)} ms"


def quantile_name(q: float) -> str:
    """Write a quantile's usual name, as p99."""
    return f"p{q * 100:g}"


def quantiles(effect: Effect) -> str:
    """List the quantiles of an effect, each with its unit."""
    return ", ".join(f"{quantile_name(figure.q)} {duration(figure.seconds)}" for figure in effect.quantiles)


def counts(by_name: Mapping[str, int]) -> str:
    """List names with their counts."""
    return ", ".join(f"{name} {count:,}" for name, count in by_name.items())


def share(part: int, whole: int) -> str:
    """Write a part of a whole in per cent."""
    return f"{100 * part / whole:.1f} %" if whole else "0 %"


def headline(result: DemoResult) -> str:
    """Say in one sentence what the demo showed."""
    orders = result.orders
    half, tail = result.quantiles[0], result.quantiles[-1]
    sentence = (
        f"{orders.sent:,} orders at {orders.throughput_per_second:.1f} a second: half were answered within"
        f" {duration(half.seconds)}, {tail.q * 100:g} % within {duration(tail.seconds)};"
        f" {orders.confirmed:,} were confirmed and {orders.rejections:,} ({share(orders.rejections, orders.sent)})"
        " rejected"
    )
    failed = sum(orders.errors.values()) + sum(orders.unanswered.values())
    return f"{sentence}, and {failed:,} failed." if failed else f"{sentence}; none failed."
