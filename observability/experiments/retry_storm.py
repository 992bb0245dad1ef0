"""Retry storm: a client gives a call up sooner than the server can answer, and makes it again, and again."""

import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from observability.analysis.bottleneck import Bottleneck
from observability.experiments.experiment import Demand, Experiment, ExperimentKind, Setting, Truth, Variant
from observability.network.proxy import Delay
from observability.telemetry.telemetry import Telemetry
from services.infra import deadline
from services.inventory import api
from services.inventory.rpc.client import InventoryClient
from services.kernel.errors import DeadlineExceeded

Command = TypeVar("Command")
Result = TypeVar("Result")

MOST_ATTEMPTS = 4


class ImpatientClient(InventoryClient):
    """Gives each attempt twice the time of the one before, and waits for none of them as long as its caller would.

    Time limits like these come from a benchmark on one machine. The database has moved to another building since.
    """

    first_seconds: float

    async def reserve_stock(self, command: api.ReserveStock) -> api.Reservation:
        """Reserve all or nothing, in whichever attempt."""
        return await self._insist(super().reserve_stock, command)

    async def confirm_reservation(self, command: api.ConfirmReservation) -> api.Reservation:
        """Sell, in whichever attempt."""
        return await self._insist(super().confirm_reservation, command)

    async def _insist(self, call: Callable[[Command], Awaitable[Result]], command: Command) -> Result:
        seconds = self.first_seconds
        for _ in range(MOST_ATTEMPTS - 1):
            try:
                with deadline.within(seconds + deadline.MARGIN_SECONDS):
                    return await call(command)
            except DeadlineExceeded:
                seconds *= 2
        return await call(command)


def impatient(*arguments: object, first_seconds: float, **named: object) -> ImpatientClient:
    """Make such a client, with what the usual one is made of."""
    client = ImpatientClient(*arguments, **named)  # type: ignore[arg-type]  # checked where the usual one is made
    client.first_seconds = first_seconds
    return client


def giving_up_after_25_ms(_telemetry: Telemetry) -> Callable[..., InventoryClient]:
    """Return the first attempt 25 ms."""
    return partial(impatient, first_seconds=0.025)


def giving_up_after_35_ms(_telemetry: Telemetry) -> Callable[..., InventoryClient]:
    """Return the first attempt 35 ms."""
    return partial(impatient, first_seconds=0.035)


MAKERS = {25: "giving_up_after_25_ms", 35: "giving_up_after_35_ms"}


def draw(source: random.Random) -> Setting:
    """Draw how soon an attempt is given up, how far away inventory's database is, and how busy it gets.

    A call takes seven or eight ways there and back, each with a few milliseconds of work, which is more than the first
    two attempts have and less than the third has. What is given up leaves a transaction to be rolled back and often a
    connection to be opened again, so that the third may not do either. An order then takes several times as much of the
    processor as usual: where that is less busy, too few orders come to tell anything.
    """
    milliseconds = source.choice(sorted(MAKERS))
    away = source.uniform(0.11, 0.13) * milliseconds
    network = {"inventory-database": Delay(latency_seconds=away / 1e3)}
    return Setting(
        place=f"calls of inventory are given up after {milliseconds} ms; its database is {away:.1f} ms away",
        before=Variant(adapters={"order-inventory": f"{__name__}:{MAKERS[milliseconds]}"}, network=network),
        after=Variant(network=network),
        demand=Demand(utilisation=source.uniform(0.42, 0.5), lines=(1, 6)),
        truth=Truth(Bottleneck.RETRY_STORM, "order"),
    )


EXPERIMENT = Experiment(
    name="retry_storm",
    kind=ExperimentKind.BOTTLENECK,
    hypothesis="Most calls are given up just before they would be answered, and what was done for them is done again.",
    fix="Give a call what is left of the request's time, and repeat only what never arrived.",
    symptoms=("several attempts a call, at the server too", "attempts end when their time is over, and were at work"),
    owner_alert="none",
    owner_alert_because="Attempts that a caller makes in a loop of its own look like calls to a server: none says so.",
    draw=draw,
)
