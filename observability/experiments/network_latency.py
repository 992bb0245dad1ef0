"""Network latency: two services that talk twice for each order are milliseconds apart, and neither is busy."""

import random

from observability.analysis.bottleneck import Bottleneck
from observability.experiments.experiment import HEALTHY, Demand, Experiment, ExperimentKind, Setting, Truth, Variant
from observability.network.proxy import Delay


def draw(source: random.Random) -> Setting:
    """Draw how far apart they are, and how busy it gets; small orders, whose own time does not hide the way."""
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
    hypothesis="Each call between the services takes longer than both of its ends work for it.",
    fix="Run the two services next to each other.",
    symptoms=("client spans are longer than their server spans, the fastest ones too", "both ends are idle"),
    owner_alert="none",
    owner_alert_because="Nothing is saturated, and the objective for placing an order still holds.",
    draw=draw,
)
