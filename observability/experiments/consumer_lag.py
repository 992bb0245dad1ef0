"""Experiment consumer lag: one confirmation is sent at a time, and more orders arrive than are confirmed."""

import random
from collections.abc import Callable

from observability.analysis.bottleneck import Bottleneck
from observability.experiments.experiment import Demand, Experiment, ExperimentKind, Metric, Setting, Truth, Variant
from observability.experiments.turns import Turns
from observability.network.proxy import Delay
from observability.telemetry.telemetry import Telemetry
from services.notification.api import Notification
from services.notification.application.ports import Sender
from services.notification.bootstrap import make_sender
from services.notification.settings import NotificationSettings

CONSUMER = "notification.send_confirmation"


class OneConnectionSender:
    """Sender that has one connection to the mail server at a time, as if the server allowed no more."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._connection = Turns(1)

    async def send(self, notification: Notification) -> None:
        """Send once the mails before have been sent. Raises as the sender does."""
        async with self._connection.turn():
            await self._sender.send(notification)


def one_connection(_telemetry: Telemetry) -> Callable[[NotificationSettings], Sender]:
    """Return what makes a sender with one connection."""
    return lambda settings: OneConnectionSender(make_sender(settings))


def draw(source: random.Random) -> Setting:
    """Draw the way to the mail server and the rate of orders.

    A mail takes eleven ways, so two are sent a second; ten at a time are twenty.
    """
    network = {"notification-mail": Delay(latency_seconds=source.uniform(0.040, 0.044))}
    return Setting(
        place="one connection to a mail server that is some 40 ms away",
        before=Variant(adapters={"notification": f"{__name__}:one_connection"}, network=network),
        after=Variant(network=network),
        demand=Demand(utilisation=0.5, rate_per_second=round(source.uniform(3.5, 4.2), 1)),
        truth=Truth(Bottleneck.CONSUMER_LAG, "notification", CONSUMER),
    )


EXPERIMENT = Experiment(
    name="consumer_lag",
    kind=ExperimentKind.BOTTLENECK,
    hypothesis="Confirmations take longer to send than orders take to arrive, and come later and later.",
    fix="Send ten at a time, each on a connection of its own.",
    symptoms=("customers are answered as fast as ever", "the age of the oldest confirmation grows all the time"),
    owner_alert="none",
    owner_alert_because="Its alert fires from a hundred pending confirmations on, which takes longer than a trial.",
    draw=draw,
    metric=Metric.GOODPUT,
    consumer=CONSUMER,
)
