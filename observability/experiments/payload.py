"""Experiment payload: order reads the stock levels of whole groups of goods, and needs only those of its lines."""

import random
from collections.abc import Callable
from functools import partial

from observability.analysis.bottleneck import Bottleneck
from observability.experiments.experiment import Demand, Experiment, ExperimentKind, Setting, Truth, Variant
from observability.load.demand import SKU_COUNT, sku_of_rank
from observability.telemetry.telemetry import Telemetry
from services.inventory import api
from services.inventory.rpc.client import InventoryClient
from services.inventory.rpc.server import SERVICE

OPERATION = f"{SERVICE.full_name}/GetStock"
GOODS_IN_A_GROUP = {"large": 120, "very large": 150}
# One call reads at most 1,500 levels.
MOST_LINES = 10
RANKS = {sku_of_rank(rank): rank for rank in range(1, SKU_COUNT + 1)}


class GroupReadingClient(InventoryClient):
    """Client that reads stock levels before it reserves: of the whole group of each line, or of a group of one."""

    def __init__(self, *arguments: object, group_size: int, **named: object) -> None:
        super().__init__(*arguments, **named)  # type: ignore[arg-type]  # checked where the usual one is made
        self._group_size = group_size

    async def reserve_stock(self, command: api.ReserveStock) -> api.Reservation:
        """Read the levels in one call, then reserve all lines or none."""
        groups = (group_of(line.sku, self._group_size) for line in command.lines)
        await self.get_stock(api.GetStock(tuple(dict.fromkeys(sku for group in groups for sku in group))))
        return await super().reserve_stock(command)


def group_of(sku: str, size: int) -> list[str]:
    """Return a SKU and its neighbours in the catalogue, `size` in all."""
    first = RANKS[sku]
    return [sku_of_rank((first - 1 + number) % SKU_COUNT + 1) for number in range(size)]


def reading_large_groups(_telemetry: Telemetry) -> Callable[..., InventoryClient]:
    """Return a client that reads large groups."""
    return partial(GroupReadingClient, group_size=GOODS_IN_A_GROUP["large"])


def reading_very_large_groups(_telemetry: Telemetry) -> Callable[..., InventoryClient]:
    """Return a client that reads very large groups."""
    return partial(GroupReadingClient, group_size=GOODS_IN_A_GROUP["very large"])


def reading_lines(_telemetry: Telemetry) -> Callable[..., InventoryClient]:
    """Return a client that reads the levels of the lines alone."""
    return partial(GroupReadingClient, group_size=1)


MAKERS = {"large": "reading_large_groups", "very large": "reading_very_large_groups"}


def draw(source: random.Random) -> Setting:
    """Draw the size of a group, the number of lines, and the utilisation."""
    size = source.choice(sorted(MAKERS))
    most_lines = source.randint(8, MOST_LINES)
    return Setting(
        place=f"{GOODS_IN_A_GROUP[size]} levels for each of up to {most_lines} lines, in one call",
        before=Variant(adapters={"order-inventory": f"{__name__}:{MAKERS[size]}"}),
        after=Variant(adapters={"order-inventory": f"{__name__}:reading_lines"}),
        demand=Demand(utilisation=source.uniform(0.45, 0.6), lines=(1, most_lines)),
        truth=Truth(Bottleneck.PAYLOAD, "order", OPERATION),
    )


EXPERIMENT = Experiment(
    name="payload",
    kind=ExperimentKind.BOTTLENECK,
    hypothesis="One call returns hundreds of times what its caller needs, and takes time in proportion to it.",
    fix="Ask for what is needed.",
    symptoms=(
        "the call takes longer, the more it returns",
        "the number of calls is the same for every request, and both processes work",
    ),
    owner_alert="none",
    owner_alert_because="Every call is answered in time; the processors work more than they need to.",
    draw=draw,
)
