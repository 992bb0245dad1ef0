"""Experiment consumer lag: confirmation mails are sent one at a time, more slowly than orders arrive."""

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
        """Send after all earlier mails have been sent. Raises as the sender does."""
        async with self._connection.turn():
            await self._sender.send(notification)


def one_connection(_telemetry: Telemetry) -> Callable[[NotificationSettings], Sender]:
    """Return a factory of senders with one connection."""
    return lambda settings: OneConnectionSender(make_sender(settings))


def draw(source: random.Random) -> Setting:
    """Draw the latency to the mail server and the rate of orders.

    A mail takes eleven one-way latencies, so two are sent a second on one connection, and twenty on ten.
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
