"""What must be in stock before a plan is run: enough of everything, or so little that a given share of orders fails?"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from observability.load.demand import unit_price_minor
from observability.load.errors import LoadUsageError
from observability.load.orders import PlannedOrder, stream
from services.inventory.api import MAX_DELIVERY

# A scarce SKU starts with at most this share of its planned demand: it sells out within the first seconds of a run and
# then stays sold out, so that rejections come evenly over the run and not all at its end.
_SCARCE_STOCK_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class PlannedDelivery:
    """Units of one SKU to bring into stock, and the price of one unit in pence."""

    sku: str
    quantity: int
    unit_price_minor: int


@dataclass(frozen=True, slots=True)
class StockPlan:
    """The deliveries before a run, and how many of its orders will then be rejected if they are placed in order."""

    deliveries: tuple[PlannedDelivery, ...]
    scarce_skus: tuple[str, ...]
    expected_rejections: int
    orders: int


def ample_stock(skus: Iterable[str]) -> list[PlannedDelivery]:
    """Deliver of each SKU the most that one delivery may bring, 1,000,000 units."""
    return [PlannedDelivery(sku, MAX_DELIVERY, unit_price_minor(sku)) for sku in sorted(set(skus))]


def plan_stock(orders: Sequence[PlannedOrder], *, out_of_stock_share: float, seed: int) -> StockPlan:
    """Plan stock with which `out_of_stock_share` (0 to 1) of the orders find a SKU sold out, spread over the run.

    The SKUs are put in a random order that the seed fixes; the first k of them are made scarce, and k is found by
    bisection over simulated runs, in which an order takes all its lines or none. Orders that overtake one another in
    the real run move the outcome of a few. Raises LoadUsageError for a share outside 0 to 1.
    """
    if not 0 <= out_of_stock_share <= 1:
        raise LoadUsageError(f"the share of orders out of stock must be 0 to 1, not {out_of_stock_share:g}")
    demand = _planned_units(orders)
    candidates = sorted(demand)
    stream(seed, "scarcity").shuffle(candidates)
    wanted = round(out_of_stock_share * len(orders))
    scarce_count = _bisect_scarce_count(orders, demand, candidates, wanted)
    stock = _stock(demand, candidates[:scarce_count])
    return StockPlan(
        deliveries=tuple(PlannedDelivery(sku, stock[sku], unit_price_minor(sku)) for sku in sorted(stock)),
        scarce_skus=tuple(sorted(candidates[:scarce_count])),
        expected_rejections=len(simulate_rejections(orders, stock)),
        orders=len(orders),
    )


def simulate_rejections(orders: Sequence[PlannedOrder], stock: dict[str, int]) -> list[int]:
    """Place the orders one after the other, each all or nothing, and give the indexes of those that find too little."""
    left = dict(stock)
    rejected = []
    for order in orders:
        if any(left[line.sku] < line.quantity for line in order.lines):
            rejected.append(order.index)
            continue
        for line in order.lines:
            left[line.sku] -= line.quantity
    return rejected


def _bisect_scarce_count(
    orders: Sequence[PlannedOrder], demand: Counter[str], candidates: list[str], wanted: int
) -> int:
    """Find how many candidates to make scarce: of the two neighbouring counts, the one that comes closer."""

    def rejections(count: int) -> int:
        return len(simulate_rejections(orders, _stock(demand, candidates[:count])))

    low, high = 0, len(candidates)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if rejections(middle) < wanted else (low, middle)
    return min((low, high), key=lambda count: abs(rejections(count) - wanted))


def _stock(demand: Counter[str], scarce: Iterable[str]) -> dict[str, int]:
    stock = {sku: min(units, MAX_DELIVERY) for sku, units in demand.items()}
    for sku in scarce:
        stock[sku] = int(stock[sku] * _SCARCE_STOCK_SHARE)
    return stock


def _planned_units(orders: Sequence[PlannedOrder]) -> Counter[str]:
    demand: Counter[str] = Counter()
    for order in orders:
        for line in order.lines:
            demand[line.sku] += line.quantity
    return demand
