"""Experiment network latency: each order makes two calls between services that are milliseconds apart."""

import random

from observability.analysis.bottleneck import Bottleneck
from observability.experiments.experiment import HEALTHY, Demand, Experiment, ExperimentKind, Setting, Truth, Variant
from observability.network.proxy import Delay


def draw(source: random.Random) -> Setting:
    """Draw the network's delay and the utilisation; orders are small, so that their work does not hide the delay."""
    milliseconds = source.uniform(8.0, 14.0)
    delay = Delay(latency_seconds=milliseconds / 1e3, jitter_seconds=source.uniform(0.0, 0.001))
    return Setting(
        place=f"{milliseconds:.1f} ms each way between order and inventory",
        before=Variant(network={"order-inventory": delay}),
        after=HEALTHY,
        demand=Demand(utilisation=source.uniform(0.25, 0.45), lines=(1, 6)),
        truth=Truth(Bottleneck.NETWORK_LATENCY, "order", "inventory"),
    )


EXPERIMENT = Experiment(
    name="network_latency",
    kind=ExperimentKind.BOTTLENECK,
    hypothesis="Each call between the services takes much longer than client and server work on it.",
    fix="Run the two services in the same site.",
    symptoms=("client spans are longer than their server spans, even the fastest", "client and server are mostly idle"),
    owner_alert="none",
    owner_alert_because="Nothing is saturated, and the objective for placing an order still holds.",
    draw=draw,
)
