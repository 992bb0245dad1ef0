"""PromQL expressions of the committed dashboards, with all variables replaced."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DASHBOARDS = Path(__file__).resolve().parents[3] / "grafana" / "dashboards"
# Grafana's defaults: all processes, and four scrapes of 15 seconds.
VARIABLES = {"$__rate_interval": "1m", "$instance": ".+", "$job": ".+"}


@dataclass(frozen=True, slots=True)
class Expression:
    """One query of one panel.

    dashboard, panel, title: where it stands.
    text: the expression without variables, ready for Prometheus.
    written: the expression as in the dashboard.
    legend: its legend format.
    instant: whether it is an instant query.
    """

    dashboard: str
    panel: int
    title: str
    text: str
    written: str
    legend: str
    instant: bool

    def __str__(self) -> str:
        """Return dashboard, panel and title of the expression."""
        return f"{self.dashboard}/{self.panel} {self.title}"


def expressions(rate_interval: str = "1m") -> Iterator[Expression]:
    """Yield every query to Prometheus, with `rate_interval` for `$__rate_interval` and all processes chosen."""
    variables = {**VARIABLES, "$__rate_interval": rate_interval}
    for dashboard in dashboards():
        for panel in panels(dashboard):
            for target in panel.get("targets", []):
                if target["datasource"]["type"] == "prometheus":
                    yield _expression(dashboard, panel, target, variables)


def dashboards() -> list[dict[str, Any]]:
    """Return the committed dashboards."""
    return [json.loads(path.read_text()) for path in sorted(DASHBOARDS.glob("*.json"))]


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the panels of a dashboard without its rows."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def _expression(
    dashboard: dict[str, Any], panel: dict[str, Any], target: dict[str, Any], variables: dict[str, str]
) -> Expression:
    text = target["expr"]
    for name, value in variables.items():
        text = text.replace(name, value)
    return Expression(
        dashboard=dashboard["uid"],
        panel=panel["id"],
        title=panel["title"],
        text=text,
        written=target["expr"],
        legend=target.get("legendFormat", ""),
        instant=target.get("instant", False),
    )
