"""Stock plan of a run: ample stock, or stock so scarce that a given share of its orders is rejected."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from observability.load.demand import unit_price_minor
from observability.load.errors import LoadUsageError
from observability.load.orders import PlannedOrder, stream
from services.inventory.api import MAX_DELIVERY

# A scarce SKU starts with this share of its planned demand. It sells out within the first seconds of a run, so that
# rejections are spread over the whole run and do not all come at its end.
_SCARCE_STOCK_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class PlannedDelivery:
    """Units of one SKU to deliver, and the price of one unit in pence."""

    sku: str
    quantity: int
    unit_price_minor: int


@dataclass(frozen=True, slots=True)
class StockPlan:
    """The deliveries before a run, and their effect.

    deliveries: one for each SKU of the plan.
    scarce_skus: the SKUs that sell out early.
    expected_rejections: orders rejected if they are placed one after the other.
    orders: number of orders in the plan.
    """

    deliveries: tuple[PlannedDelivery, ...]
    scarce_skus: tuple[str, ...]
    expected_rejections: int
    orders: int


def ample_stock(skus: Iterable[str]) -> list[PlannedDelivery]:
    """Plan for each SKU the largest delivery allowed, 1,000,000 units."""
    return [PlannedDelivery(sku, MAX_DELIVERY, unit_price_minor(sku)) for sku in sorted(set(skus))]


def plan_stock(orders: Sequence[PlannedOrder], *, out_of_stock_share: float, seed: int) -> StockPlan:
    """Plan stock with which `out_of_stock_share` (0 to 1) of the orders are rejected, spread over the run.

    The seed shuffles the SKUs, and the first k of them are made scarce. k is found by bisection over simulated runs, in
    which an order takes all its lines or none. In the real run some orders overtake others, so a few end differently.
    Raises LoadUsageError for a share outside 0 to 1.
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
    """Place the orders one after the other, each all or nothing, and return the indexes of the rejected ones."""
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
    """Find how many candidates to make scarce so that the rejections come closest to the wanted number."""

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
