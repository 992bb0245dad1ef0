"""Arrival plan of a run: all of its orders, computed from a seed before the first request."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace

from observability.load.demand import draw_look, draw_order, draw_quantity
from observability.load.errors import LoadUsageError
from observability.load.orders import Basket, PlannedLine, PlannedOrder, planned_order, stream

MAXIMUM_ORDERS = 500_000
_CUSTOMERS = 1_000
_CUSTOMER_NAMESPACE = uuid.UUID("6f2b8c1e-5f0d-5d0b-9f5e-0d8c2f0a4a11")


def plan_orders(
    *,
    rate_per_second: float,
    duration_seconds: float,
    seed: int,
    baskets: Sequence[Basket] | None = None,
    lines: tuple[int, int] | None = None,
    surge: float = 1.0,
    counted: bool = False,
    looked_at: int | None = None,
) -> list[PlannedOrder]:
    """Plan an open loop of Poisson arrivals; the same arguments give the same plan.

    `baskets` are drawn at random with replacement, so that short runs see all sizes too; without them the model draws.
    `lines` bounds the model's lines an order, drawn uniformly; without it their number is as fitted.
    `surge` multiplies the rate in the middle third of the duration.
    `counted` fixes the number of orders for all seeds, so that their runs have the same load. Without it, 300 planned
    orders are under 265 or over 335 in one run of twenty.
    `looked_at` plans reads instead of orders: each of `lines` SKUs out of this many most frequent ones.

    Raises LoadUsageError for a rate or duration that is not positive, or more than 500,000 orders.
    """
    _check_size(rate_per_second, duration_seconds)
    draw = _counted_arrivals if counted else _arrivals
    arrivals = list(draw(rate_per_second, duration_seconds, seed, surge))
    if not arrivals:
        raise LoadUsageError("the plan has no order in it: raise --rate or --duration")
    choice = stream(seed, "choice")
    drawn = None if baskets is None else [choice.choice(baskets) for _ in arrivals]
    return _orders(arrivals, seed=seed, baskets=drawn, line_bounds=lines, looked_at=looked_at)


def with_hot_customers(
    plan: Sequence[PlannedOrder], customers: Sequence[str], *, share: float, seed: int
) -> list[PlannedOrder]:
    """Return the plan with this share (0 to 1) of the requests sent by these customers, by each as many."""
    chance = stream(seed, "hot customers")
    return [
        replace(order, customer_id=chance.choice(customers)) if chance.random() < share else order for order in plan
    ]


def plan_requests(
    *,
    requests: int,
    seed: int,
    baskets: Sequence[Basket] | None = None,
    lines: tuple[int, int] | None = None,
    sku_prefix: str = "",
) -> list[PlannedOrder]:
    """Plan a closed loop: the baskets in their order, repeated when they run out; all are due at once.

    Without baskets the model draws them as in `plan_orders`. The model's SKUs begin with `sku_prefix`, so that the
    orders use a stock of their own. Raises LoadUsageError if `requests` is not 1 to 500,000.
    """
    if not 1 <= requests <= MAXIMUM_ORDERS:
        raise LoadUsageError(f"--requests must be 1 to {MAXIMUM_ORDERS:,}, not {requests:,}")
    repeated = None if baskets is None else [baskets[index % len(baskets)] for index in range(requests)]
    return _orders([0.0] * requests, seed=seed, baskets=repeated, line_bounds=lines, sku_prefix=sku_prefix)


def _orders(
    arrivals: list[float],
    *,
    seed: int,
    baskets: Sequence[Basket] | None,
    line_bounds: tuple[int, int] | None = None,
    looked_at: int | None = None,
    sku_prefix: str = "",
) -> list[PlannedOrder]:
    demand, customers = stream(seed, "demand"), stream(seed, "customers")

    def drawn() -> tuple[PlannedLine, ...]:
        if looked_at:
            return draw_look(demand, line_bounds or (1, 1), looked_at)
        return tuple(replace(line, sku=f"{sku_prefix}{line.sku}") for line in draw_order(demand, line_bounds))

    return [
        planned_order(
            index=index,
            intended_seconds=intended_seconds,
            customer_id=_customer_id(customers.randrange(_CUSTOMERS)),
            lines=drawn()
            if baskets is None
            else tuple(PlannedLine(line.sku, line.quantity or draw_quantity(demand)) for line in baskets[index]),
            looks=looked_at is not None,
        )
        for index, intended_seconds in enumerate(arrivals)
    ]


def _arrivals(rate_per_second: float, duration_seconds: float, seed: int, surge: float) -> Iterator[float]:
    """Draw Poisson arrivals at the highest rate, and thin them outside the surge."""
    gaps, thinning = stream(seed, "arrivals"), stream(seed, "surge")
    highest = max(1.0, surge)
    at_seconds = gaps.expovariate(rate_per_second * highest)
    while at_seconds < duration_seconds:
        in_surge = duration_seconds / 3 <= at_seconds < 2 * duration_seconds / 3
        if thinning.random() * highest < (surge if in_surge else 1.0):
            yield at_seconds
        at_seconds += gaps.expovariate(rate_per_second * highest)


def _counted_arrivals(rate_per_second: float, duration_seconds: float, seed: int, surge: float) -> list[float]:
    """Draw exactly rate x duration arrivals, independent of each other: a Poisson process, given its count."""
    moments, third = stream(seed, "arrivals"), duration_seconds / 3
    # Arrivals are uniform in a stretched time, in which the middle third is `surge` times as long.
    base_seconds = (2 + surge) * third

    def moment(at_seconds: float) -> float:
        in_surge = min(max(0.0, at_seconds - third), surge * third)
        return at_seconds - in_surge + in_surge / surge

    count = round(rate_per_second * base_seconds)
    return sorted(moment(base_seconds * moments.random()) for _ in range(count))


def _customer_id(number: int) -> str:
    return str(uuid.uuid5(_CUSTOMER_NAMESPACE, f"customer-{number}"))


def _check_size(rate_per_second: float, duration_seconds: float) -> None:
    if not 0 < rate_per_second < float("inf"):
        raise LoadUsageError(f"--rate must be above 0 orders a second, not {rate_per_second:g}")
    if not 0 < duration_seconds < float("inf"):
        raise LoadUsageError(f"--duration must be above 0 seconds, not {duration_seconds:g}")
    if rate_per_second * duration_seconds > MAXIMUM_ORDERS:
        planned = rate_per_second * duration_seconds
        raise LoadUsageError(f"{planned:,.0f} orders are too many for one run: plan at most {MAXIMUM_ORDERS:,}")
