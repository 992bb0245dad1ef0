"""Rules of the objectives: bad shares over seven windows, and an alert for each burn rate."""

from collections.abc import Iterator

from observability.prometheus.build.model import Alert, Recording, RuleGroup
from observability.prometheus.build.objectives import (
    BURNS,
    LEAST_TRAFFIC,
    OBJECTIVES,
    STALE,
    STALE_NOW,
    Burn,
    Objective,
)
from observability.prometheus.build.pace import HOUR, MINUTE, Pace

WINDOWS = sorted({seconds for burn in BURNS for seconds in (burn.long_seconds, burn.short_seconds)})
# A window of days need not be evaluated every few seconds.
SLOW_INTERVAL_SECONDS = 1 * MINUTE
NOMINAL = Pace()


def slo_groups(pace: Pace) -> list[RuleGroup]:
    """Return the recordings of all windows and the burn alerts."""
    quick = [seconds for seconds in WINDOWS if seconds <= HOUR]
    slow = [seconds for seconds in WINDOWS if seconds > HOUR]
    return [
        RuleGroup("slo-quick", [Recording(STALE, STALE_NOW), *recordings(quick, pace)]),
        RuleGroup("slo-slow", list(recordings(slow, pace)), SLOW_INTERVAL_SECONDS),
        RuleGroup("slo-burn", [burn_alert(objective, burn) for objective in OBJECTIVES for burn in BURNS]),
    ]


def recordings(windows: list[int], pace: Pace) -> Iterator[Recording]:
    """Yield the bad share over each window, and the traffic over the long windows of the alerts.

    The names keep the unscaled window, so that no other rule or panel depends on the pace.
    """
    long_windows = {burn.long_seconds for burn in BURNS}
    for objective in OBJECTIVES:
        for seconds in windows:
            name, window = NOMINAL(seconds), pace(seconds)
            yield Recording(objective.recorded(name), objective.ratio.replace("$window", window))
            if objective.traffic and seconds in long_windows:
                what, expression = objective.traffic
                yield Recording(f"shop:{what}:rate{name}", expression.replace("$window", window))


def burn_alert(objective: Objective, burn: Burn) -> Alert:
    """Return the alert for one burn rate: long window, short window and, for requests, a minimum of traffic."""
    long_window, short_window = NOMINAL(burn.long_seconds), NOMINAL(burn.short_seconds)
    limit = f"{burn.factor:g} * (1 - {objective.target})"
    arms = [f"{objective.recorded(window)} > {limit}" for window in (long_window, short_window)]
    if objective.traffic:
        arms.append(f"shop:{objective.traffic[0]}:rate{long_window} > {LEAST_TRAFFIC}")
    return Alert(
        name=objective.alert,
        expression=" and ".join(arms),
        severity=burn.severity,
        affects=objective.affects,
        for_seconds=burn.for_seconds,
        labels={"long_window": long_window},
        summary=objective.summary,
        description=objective.description,
    )
