"""Log and trace panels, the last row of every dashboard: they lead from a metric to single requests."""

from grafana.build.lib.panel import Heading, Panel, PanelKind, PanelRow, Query, Words

OURS = '{service_name=~"$job"} | json'


def signals(*more: Panel, only_problems: bool = True) -> PanelRow:
    """Return the last row: the logs of the chosen processes, then the dashboard's own panels of traces."""
    problems = " | level=~`warning|error|critical`" if only_problems else ""
    number = Heading.SIGNALS.number * 10
    logs = Panel(
        number + 1,
        "Warnings and errors" if only_problems else "Log lines",
        "string",
        Words(
            "Log lines of the chosen processes.",
            "no line that repeats.",
            "the same error again and again.",
            "the trace of a line: follow the link on its trace_id.",
        ),
        (Query(OURS + problems),),
        kind=PanelKind.LOGS,
        width=12 if more else 24,
        opens="" if more else "shop-overview",
    )
    return PanelRow(Heading.SIGNALS, (logs, *more))


def traces(number: int, title: str, service: str, *, tags: str = "", then: str) -> Panel:
    """Return the panel that lists the newest traces of a service that carry these tags."""
    return Panel(
        number,
        title,
        "string",
        Words(
            f"The newest traces of {service}{', with ' + tags if tags else ''}.",
            "a few spans each, none of them much longer than its neighbours.",
            "one span that takes most of the trace, or a gap between spans.",
            then,
        ),
        (Query(service, tags=tags),),
        kind=PanelKind.TRACES,
        width=12,
    )
