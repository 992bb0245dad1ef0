"""How does a reader get from a figure to single requests? The log and trace panels that end every dashboard."""

from grafana.build.lib.panel import Heading, Panel, PanelKind, PanelRow, Query, Words

OURS = '{service_name=~"$job"} | json'


def signals(*more: Panel, only_problems: bool = True) -> PanelRow:
    """Return the last row: the logs of the chosen processes, then what else the dashboard shows of traces."""
    problems = " | level=~`warning|error|critical`" if only_problems else ""
    number = Heading.SIGNALS.number * 10
    logs = Panel(
        number + 1,
        "Warnings and errors" if only_problems else "Log lines",
        "string",
        Words(
            "What did the chosen processes write?",
            "no line that repeats; each has a trace_id that leads to its trace.",
            "the trace of a line, by the link on its trace_id.",
        ),
        (Query(OURS + problems),),
        kind=PanelKind.LOGS,
        width=12 if more else 24,
        opens="" if more else "shop-overview",
    )
    return PanelRow(Heading.SIGNALS, (logs, *more))


def traces(number: int, title: str, service: str, *, tags: str = "", then: str) -> Panel:
    """Return a list of the newest traces of a service that carry these tags."""
    return Panel(
        number,
        title,
        "string",
        Words(
            f"Which requests, one by one? Traces of {service}{', ' + tags if tags else ''}.",
            "a few spans each, none of them much longer than its neighbours.",
            then,
        ),
        (Query(service, tags=tags),),
        kind=PanelKind.TRACES,
        width=12,
    )
