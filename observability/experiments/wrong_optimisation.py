"""Experiment wrong optimisation: mail gets a nearer server, but no request waits for mail, so latency stays.

Requests wait for the network between order and inventory, which the diagnosis must name and the change does not touch.
"""

import random

from observability.analysis.bottleneck import Bottleneck
from observability.experiments.experiment import Demand, Experiment, ExperimentKind, Setting, Truth, Variant
from observability.network.proxy import Delay

# Each command of a mail waits for the way there and back, which is most of what its sending takes.
NEARER = 0.25


def draw(source: random.Random) -> Setting:
    """Draw how far all of them are apart, and how busy it gets; orders are alike, so that few tell a quantile.

    Mail is not so far that several wait for each other: sent together they would take less of the processor.
    """
    way, mail = source.uniform(0.055, 0.065), source.uniform(0.005, 0.006)
    apart = Delay(latency_seconds=way)
    return Setting(
        place=f"{way * 1e3:.0f} ms each way between order and inventory, {mail * 1e3:.0f} ms to the mail server",
        before=Variant(network={"order-inventory": apart, "notification-mail": Delay(latency_seconds=mail)}),
        after=Variant(network={"order-inventory": apart, "notification-mail": Delay(latency_seconds=NEARER * mail)}),
        demand=Demand(utilisation=source.uniform(0.25, 0.35), lines=(1, 1)),
        truth=Truth(Bottleneck.NETWORK_LATENCY, "order", "inventory"),
    )


EXPERIMENT = Experiment(
    name="wrong_optimisation",
    kind=ExperimentKind.WRONG_OPTIMISATION,
    hypothesis="The longest span after an order is the sending of its confirmation; a nearer mail server must help.",
    fix="Send mail through a server nearby.",
    symptoms=("the span of sending falls by half or more", "no answer comes sooner: none waits for it"),
    owner_alert="none",
    owner_alert_because="Nothing is saturated, and the objective for placing an order still holds.",
    draw=draw,
    own_time="notification.send_confirmation",
    times_as_many_pairs=5,
)
