"""Checks that each alert links to a panel that draws its expression, with a line at its limit."""

import re
from typing import Any

from observability.testbed.monitoring.panels import dashboards, panels
from tests.dashboards.promql import selectors
from tests.dashboards.vocabulary import rules, vocabulary
from tests.each import for_each

ALERTS = {f"{rule['alert']}-{number}": rule for number, rule in enumerate(rules()) if "alert" in rule}
PANELS = {(d["uid"], panel["id"]): panel for d in dashboards() for panel in panels(d)}
KNOWN = list(vocabulary())
# These watch nothing that could be drawn but themselves: that a series is there at all.
NO_SERIES = re.compile(r"^(vector\(1\)|absent\()")
each_alert = for_each(ALERTS.values(), name=lambda alert: alert["alert"])


def panel_of(alert: dict[str, Any]) -> dict[str, Any] | None:
    """Return the panel that the alert's dashboard_url names, or None."""
    found = re.fullmatch(r"/d/([\w-]+)\?viewPanel=(\d+)", alert["annotations"]["dashboard_url"])
    return PANELS.get((found[1], int(found[2]))) if found else None


@each_alert
def test_an_alert_leads_to_a_panel(alert: dict[str, Any]) -> None:
    assert panel_of(alert)


@each_alert
def test_the_panel_draws_the_expression_of_the_alert(alert: dict[str, Any]) -> None:
    panel = panel_of(alert)
    assert panel
    if NO_SERIES.match(alert["expr"]):
        return
    # The part before the condition of least traffic, which need not be drawn.
    watched = alert["expr"].split(" and ")[0]
    drawn = {name for target in panel["targets"] for s in selectors(target["expr"]) for name in s.names(KNOWN)}
    assert {name for selector in selectors(watched) for name in selector.names(KNOWN)} <= drawn


@each_alert
def test_the_panel_has_a_line_at_the_alerts_number(alert: dict[str, Any]) -> None:
    panel = panel_of(alert)
    assert panel
    number = re.search(r"[<>]=?\s*([\d.]+)", alert["expr"].split(" and ")[0])
    if not number or float(number[1]) == 0:
        return
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert float(number[1]) in [step["value"] for step in steps]
