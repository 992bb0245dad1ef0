"""Experiment synchronous notification: the answer waits until confirmations are sent, which it does not need."""

import os
import random
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from opentelemetry.trace import SpanKind

from observability.analysis.bottleneck import Bottleneck
from observability.experiments.experiment import HEALTHY, Demand, Experiment, ExperimentKind, Setting, Truth, Variant
from observability.telemetry.telemetry import Telemetry
from services.infra.postgres import Database
from services.notification.adapters.folder import FolderSender
from services.notification.adapters.mail import Addresses
from services.notification.api import Notification
from services.order.adapters.event_store import EventStore
from services.order.adapters.postgres import PostgresOrders
from services.order.api import OrderState
from services.order.domain.order import Change, Order

ADDRESSES = Addresses("orders@shop.example", "{customer_id}@customers.example")
FOLDER_VARIABLE = "LAB_FOLDER"
SPAN = "send_confirmation"


class NotifyingOrders(PostgresOrders):
    """Orders that send `copies` confirmations of a stored sale before they return."""

    def __init__(self, *, database: Database, event_store: EventStore, telemetry: Telemetry, copies: int) -> None:
        super().__init__(database=database, event_store=event_store)
        self._telemetry = telemetry
        self._copies = copies
        self._sender = FolderSender(Path(os.environ[FOLDER_VARIABLE]), addresses=ADDRESSES)

    async def save(self, change: Change) -> None:
        """Store the order's next event, then send its confirmations."""
        await super().save(change)
        if change.order.state is OrderState.CONFIRMED:
            for _ in range(self._copies):
                with self._telemetry.tracer.start_as_current_span(SPAN, kind=SpanKind.CLIENT):
                    await self._sender.send(confirmation_of(change.order))


def confirmation_of(order: Order) -> Notification:
    """Return the notification that the notification service would send for a sold order."""
    return Notification(
        uuid4(), order.order_id, order.customer_id, order.total, len(order.lines), order.update_time, "", 0
    )


def notifying_four(telemetry: Telemetry) -> Callable[..., PostgresOrders]:
    """Return an adapter that sends four confirmations: to the customer, the seller, the warehouse and the carrier."""
    return lambda **arguments: NotifyingOrders(**arguments, telemetry=telemetry, copies=4)


def notifying_six(telemetry: Telemetry) -> Callable[..., PostgresOrders]:
    """Return an adapter that sends six confirmations: to the accounting department and the bank too."""
    return lambda **arguments: NotifyingOrders(**arguments, telemetry=telemetry, copies=6)


MAKERS = {"four confirmations": "notifying_four", "six confirmations": "notifying_six"}


def draw(source: random.Random) -> Setting:
    """Draw the number of confirmations and a low utilisation, so that neither queues nor long orders hide them."""
    place = source.choice(sorted(MAKERS))
    return Setting(
        place=f"{place} in the request",
        before=Variant(adapters={"order": f"{__name__}:{MAKERS[place]}"}),
        after=HEALTHY,
        demand=Demand(utilisation=source.uniform(0.3, 0.45), lines=(1, 6)),
        truth=Truth(Bottleneck.SYNC_SIDE_EFFECT, "order", SPAN),
    )


EXPERIMENT = Experiment(
    name="synchronous_notification",
    kind=ExperimentKind.BOTTLENECK,
    hypothesis="Each order waits for a confirmation that its answer does not need.",
    fix="Leave the confirmations to the notification service, which consumes the event log.",
    symptoms=("the request continues after its last commit", "it waits for the disk, not for the processor"),
    owner_alert="none",
    owner_alert_because="Nothing is saturated; the request only does more than its answer needs.",
    draw=draw,
)
