"""Panels of the service level objectives: error budget, ratio and burn rate of each."""

from grafana.build.lib.panel import Heading, Limit, Panel, PanelKind, PanelRow, Query, Words
from observability.prometheus.build.objectives import BURNS, OBJECTIVES, Objective
from observability.prometheus.build.pace import Pace

NOMINAL = Pace()
PERIOD = NOMINAL(max(burn.long_seconds for burn in BURNS))
SHORTEST = NOMINAL(min(burn.short_seconds for burn in BURNS))
TITLES = {
    "order_placement_errors": "Orders placed without an error of ours",
    "order_placement_slow": "Orders placed in time",
    "read_model_stale": "List of orders up to date",
}
# The dashboard that explains each objective.
OPENS = {
    "order_placement_errors": "shop-service",
    "order_placement_slow": "shop-dependencies",
    "read_model_stale": "shop-events",
}


def slo_row() -> PanelRow:
    """Return the row of all objectives: budget left, current ratio, and the burn rate that the alerts watch."""
    first = Heading.SLO.number * 10 + 1
    objectives = list(enumerate(OBJECTIVES))
    left = [_budget_left(first + 3 + place, objective) for place, objective in objectives]
    now = [_good_now(first + 6 + place, objective) for place, objective in objectives]
    burn = [_burn(first + place, objective) for place, objective in objectives]
    return PanelRow(Heading.SLO, (*left, *now, *burn))


def _budget_left(number: int, objective: Objective) -> Panel:
    expression = f"1 - {objective.recorded(PERIOD)} / (1 - {objective.target})"
    return Panel(
        number,
        f"{TITLES[objective.name]}: budget left",
        "percentunit",
        Words(
            f"Share of the error budget of the last {PERIOD} that is left.",
            "above 0, and falling slowly if at all.",
            "below 0: the budget is overspent and the objective is missed.",
            "the burn of the same objective below: it shows since when and how fast.",
        ),
        (Query(expression, "left"),),
        kind=PanelKind.NUMBER,
        limits=(Limit(0, critical=True, bad_below=True),),
        opens=OPENS[objective.name],
    )


def _good_now(number: int, objective: Objective) -> Panel:
    return Panel(
        number,
        TITLES[objective.name],
        "percentunit",
        Words(
            f"Share that was good over the last {SHORTEST}.",
            f"at or above the objective of {objective.target:.1%}.",
            "below it: the error budget is being used up too fast.",
            f"{OPENS[objective.name]}, which explains this objective.",
        ),
        (Query(f"1 - {objective.recorded(SHORTEST)}", "good"),),
        kind=PanelKind.NUMBER,
        limits=(Limit(objective.target, bad_below=True),),
        opens=OPENS[objective.name],
    )


def _burn(number: int, objective: Objective) -> Panel:
    windows = sorted({seconds for burn in BURNS for seconds in (burn.long_seconds, burn.short_seconds)})
    queries = [
        Query(f"{objective.recorded(NOMINAL(seconds))} / (1 - {objective.target})", NOMINAL(seconds))
        for seconds in windows
    ]
    limits = tuple(Limit(burn.factor, critical=burn.severity == "critical") for burn in BURNS)
    pairs = ", ".join(f"{NOMINAL(b.long_seconds)} and {NOMINAL(b.short_seconds)} above {b.factor:g}" for b in BURNS)
    return Panel(
        number,
        f"{TITLES[objective.name]}: burn",
        "short",
        Words(
            "How many times faster than allowed the error budget is used up, over each window.",
            "below 1.",
            f"{objective.alert} fires for {pairs}.",
            f"{OPENS[objective.name]}, then the logs and traces at its end.",
        ),
        tuple(queries),
        limits=limits,
        opens=OPENS[objective.name],
    )
