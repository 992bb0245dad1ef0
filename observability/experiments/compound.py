"""Experiment compound: two bottlenecks at once; the bigger is fixed, and then the smaller must be named."""

import random

from observability.analysis.bottleneck import Bottleneck
from observability.experiments import n_plus_one, slow_call
from observability.experiments.experiment import Demand, Experiment, ExperimentKind, Setting, Truth, Variant


def draw(source: random.Random) -> Setting:
    """Draw the severity of both, and the utilisation: the slow call takes more than twice what the statements take."""
    rounds, most_lines = source.randrange(90_000, 120_000, 1_000), source.randint(24, 28)
    adapters = {
        "inventory": f"{slow_call.__name__}:{slow_call.PLACES['inventory']}",
        "order": f"{n_plus_one.__name__}:{n_plus_one.PLACES['order'][0]}",
    }
    slow, fast = ((slow_call.TABLE, slow_call.HASH.format(rounds=each)) for each in (rounds, 1))
    return Setting(
        place=f"{rounds:,} rounds of a hash in inventory's database, and up to {most_lines} statements in order",
        before=Variant(adapters=adapters, statements={"inventory": slow}),
        after=Variant(adapters=adapters, statements={"inventory": fast}),
        demand=Demand(utilisation=source.uniform(0.35, 0.45), lines=(20, most_lines)),
        truth=Truth(
            Bottleneck.SLOW_CALL,
            "inventory",
            slow_call.OPERATION,
            also=Truth(Bottleneck.N_PLUS_ONE, "order", n_plus_one.PLACES["order"][1]),
        ),
    )


EXPERIMENT = Experiment(
    name="compound",
    kind=ExperimentKind.BOTTLENECK,
    hypothesis="A slow statement takes most of the time of a request, and statements for each line take the next part.",
    fix="Hash a random code once; the statements for each line remain, and are named next.",
    symptoms=("one statement is slow in every request", "the number of other statements grows with the lines"),
    owner_alert="none",
    owner_alert_because="Nothing is exhausted, and no alert covers single statements.",
    draw=draw,
)
