"""Patterns that are a choice of the platform's structure: one process, events, coarse services, the right fix."""

from collections.abc import Callable

from observability.bench.patterns.blocks import PatternBench, cpu_ratio, latency_ratio, variant_blocks
from observability.bench.patterns.effect import PatternEffect
from observability.experiments import synchronous_notification
from observability.experiments.experiment import HEALTHY, Demand, Variant
from observability.experiments.runner.testbed import Testbed
from observability.experiments.wrong_optimisation import NEARER
from observability.network.proxy import Delay
from observability.telemetry.telemetry import Telemetry
from services.inventory.api import CheckAvailability, Reservation, ReserveStock
from services.inventory.rpc.client import InventoryClient

LINES = (1, 12)
# One way, between order and inventory, and between notification and its mail server.
INVENTORY_SECONDS, MAIL_SECONDS = 0.02, 0.005


async def one_process(bench: PatternBench, testbed: Testbed) -> list[PatternEffect]:
    """Compare the same orders in one process and in three services."""
    sides = {"one process": Variant(mode="monolith"), "three services": HEALTHY}
    blocks = await variant_blocks(bench, testbed, sides, orders(LINES), name="modular monolith")
    return [
        cpu_ratio("processor time an order, one process / three services", blocks, *sides),
        latency_ratio("median latency of an order, one process / three services", blocks, *sides),
    ]


async def events(bench: PatternBench, testbed: Testbed) -> list[PatternEffect]:
    """Compare confirmations by the consumer of an event and in the request."""
    in_the_request = Variant(adapters={"order": f"{synchronous_notification.__name__}:notifying_four"})
    sides = {"by events": HEALTHY, "in the request": in_the_request}
    blocks = await variant_blocks(bench, testbed, sides, orders((1, 6)), name="events")
    what = "median latency of an order with four confirmations, sent by a consumer of its event / in the request"
    return [latency_ratio(what, blocks, *sides)]


async def coarse_services(bench: PatternBench, testbed: Testbed) -> list[PatternEffect]:
    """Compare one call for all lines of an order, and a call for each line before it."""
    sides = {"coarse": HEALTHY, "fine": Variant(adapters={"order-inventory": f"{__name__}:line_by_line"})}
    blocks = await variant_blocks(bench, testbed, sides, orders((12, 12)), name="coarse services")
    calls = "2 calls an order / 14, of which 12 check one line each"
    return [
        cpu_ratio(f"processor time an order of 12 lines, {calls}", blocks, *sides),
        latency_ratio(f"median latency of an order of 12 lines, {calls}", blocks, *sides),
    ]


async def measure_first(bench: PatternBench, testbed: Testbed) -> list[PatternEffect]:
    """Compare the fix that the longest span suggests and the one that the critical path names."""
    inventory, mail = Delay(latency_seconds=INVENTORY_SECONDS), Delay(latency_seconds=MAIL_SECONDS)
    near_mail = Delay(latency_seconds=NEARER * MAIL_SECONDS)
    near_inventory = Delay(latency_seconds=NEARER * INVENTORY_SECONDS)

    def network(inventory: Delay, mail: Delay) -> Variant:
        return Variant(network={"order-inventory": inventory, "notification-mail": mail})

    sides = {
        "before": network(inventory, mail),
        "mail nearer": network(inventory, near_mail),
        "inventory nearer": network(near_inventory, mail),
    }
    blocks = await variant_blocks(bench, testbed, sides, orders((1, 1)), name="measure first")
    wrong = "median latency of an order, a mail server four times nearer / before: no answer waits for mail"
    right = "median latency of an order, inventory four times nearer / before: the critical path names this network"
    return [
        latency_ratio(wrong, blocks, "mail nearer", "before"),
        latency_ratio(right, blocks, "inventory nearer", "before"),
    ]


class LineByLineClient(InventoryClient):
    """Client that checks each line with a call of its own before it reserves, as a service for each step would."""

    async def reserve_stock(self, command: ReserveStock) -> Reservation:
        """Check all lines, one after the other, then reserve all or nothing."""
        for line in command.lines:
            await self.check_availability(CheckAvailability((line,)))
        return await super().reserve_stock(command)


def line_by_line(_telemetry: Telemetry) -> Callable[..., InventoryClient]:
    """Return the client of inventory."""
    return LineByLineClient


def orders(lines: tuple[int, int]) -> Demand:
    """Return orders of so many lines; the rate is fixed, so the utilisation is not used."""
    return Demand(utilisation=0.5, lines=lines)
