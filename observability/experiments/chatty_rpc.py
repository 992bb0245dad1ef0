"""Experiment chatty RPC: order asks inventory about each line of an order with a call of its own."""

import random
from collections.abc import Callable
from functools import partial

from observability.analysis.bottleneck import Bottleneck
from observability.experiments.experiment import Demand, Experiment, ExperimentKind, Setting, Truth, Variant
from observability.telemetry.telemetry import Telemetry
from services.inventory import api
from services.inventory.rpc.client import InventoryClient
from services.inventory.rpc.server import SERVICE


class CautiousClient(InventoryClient):
    """Client that asks about the lines of an order before it reserves them: line by line, or all in one call."""

    def __init__(self, *arguments: object, by_line: bool, **named: object) -> None:
        super().__init__(*arguments, **named)  # type: ignore[arg-type]  # checked where the usual one is made
        self._by_line = by_line

    async def reserve_stock(self, command: api.ReserveStock) -> api.Reservation:
        """Ask one call after the other, then reserve all lines or none."""
        for lines in ((line,) for line in command.lines) if self._by_line else (command.lines,):
            await self.ask(lines)
        return await super().reserve_stock(command)

    async def ask(self, lines: tuple[api.StockLine, ...]) -> None:
        """Ask what could not be reserved now."""
        await self.check_availability(api.CheckAvailability(lines))


class ReadingClient(CautiousClient):
    """Client that asks for the stock levels instead."""

    async def ask(self, lines: tuple[api.StockLine, ...]) -> None:
        """Ask for the stock levels."""
        await self.get_stock(api.GetStock(tuple(line.sku for line in lines)))


def asking_by_line(_telemetry: Telemetry) -> Callable[..., InventoryClient]:
    """Return a client that asks line by line."""
    return partial(CautiousClient, by_line=True)


def asking_once(_telemetry: Telemetry) -> Callable[..., InventoryClient]:
    """Return a client that asks once."""
    return partial(CautiousClient, by_line=False)


def reading_by_line(_telemetry: Telemetry) -> Callable[..., InventoryClient]:
    """Return a client that reads levels line by line."""
    return partial(ReadingClient, by_line=True)


def reading_once(_telemetry: Telemetry) -> Callable[..., InventoryClient]:
    """Return a client that reads levels once."""
    return partial(ReadingClient, by_line=False)


# By RPC: the client that calls it line by line, and the one that calls it once.
PLACES = {"CheckAvailability": ("asking_by_line", "asking_once"), "GetStock": ("reading_by_line", "reading_once")}


def draw(source: random.Random) -> Setting:
    """Draw the RPC, the number of lines, and the utilisation."""
    rpc = source.choice(sorted(PLACES))
    by_line, once = PLACES[rpc]
    most_lines = source.randint(14, 22)
    return Setting(
        place=f"{rpc} for each of up to {most_lines} lines",
        before=Variant(adapters={"order-inventory": f"{__name__}:{by_line}"}),
        after=Variant(adapters={"order-inventory": f"{__name__}:{once}"}),
        demand=Demand(utilisation=source.uniform(0.45, 0.6), lines=(8, most_lines)),
        truth=Truth(Bottleneck.CHATTY_RPC, "order", f"{SERVICE.full_name}/{rpc}"),
    )


EXPERIMENT = Experiment(
    name="chatty_rpc",
    kind=ExperimentKind.BOTTLENECK,
    hypothesis="The latency of an order grows with its lines, since each line costs a call of its own.",
    fix="Ask for all lines in one call.",
    symptoms=("the number of calls per request grows with the lines of an order", "each call is fast"),
    owner_alert="none",
    owner_alert_because="Every call is fast and no resource is exhausted; only requests with many lines are slow.",
    draw=draw,
)
