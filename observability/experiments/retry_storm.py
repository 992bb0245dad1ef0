"""Experiment retry storm: a client's timeout is shorter than the server's time, and it retries again and again."""

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
    """Client that doubles its timeout with each attempt, and starts far below the caller's deadline.

    Such timeouts were tuned on one machine, before the database moved to another site.
    """

    first_seconds: float

    async def reserve_stock(self, command: api.ReserveStock) -> api.Reservation:
        """Reserve all lines or none, with retries."""
        return await self._insist(super().reserve_stock, command)

    async def confirm_reservation(self, command: api.ConfirmReservation) -> api.Reservation:
        """Confirm the reservation, with retries."""
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
    """Return such a client, from the arguments of the usual one."""
    client = ImpatientClient(*arguments, **named)  # type: ignore[arg-type]  # checked where the usual one is made
    client.first_seconds = first_seconds
    return client


def giving_up_after_25_ms(_telemetry: Telemetry) -> Callable[..., InventoryClient]:
    """Return a client factory with 25 ms for the first attempt."""
    return partial(impatient, first_seconds=0.025)


def giving_up_after_35_ms(_telemetry: Telemetry) -> Callable[..., InventoryClient]:
    """Return a client factory with 35 ms for the first attempt."""
    return partial(impatient, first_seconds=0.035)


MAKERS = {25: "giving_up_after_25_ms", 35: "giving_up_after_35_ms"}


def draw(source: random.Random) -> Setting:
    """Draw the first timeout, the latency of inventory's database, and the utilisation.

    A call makes seven or eight round trips, each with a few milliseconds of work: longer than the first two timeouts,
    shorter than the third. A cancelled attempt causes a rollback and often a new connection, so the third may time out
    too. An order then uses several times the usual processor time; at a lower utilisation too few orders would arrive.
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
    hypothesis="Most calls time out just before their answer, and their work is repeated by the next attempt.",
    fix="Use the request's remaining time as the timeout, and retry only calls that did not reach the server.",
    symptoms=("several attempts per call, at the server too", "attempts time out while the server works on them"),
    owner_alert="none",
    owner_alert_because="Retries in the caller's own loop look like separate calls to the server.",
    draw=draw,
)
