"""Common parts of all dashboards: variables, alert annotations, links, refresh interval, order of the rows."""

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from grafana.build.lib.datasource import PROMETHEUS
from grafana.build.lib.drawing import draw
from grafana.build.lib.panel import Board

ALERTS = 'ALERTS{alertname=~"Shop.*", alertstate="firing", severity=~"critical|warning"}'
# Each of our processes has an event loop, whichever contexts it runs.
OURS = "shop_event_loop_lag_seconds_count"
TITLES = {
    "shop-overview": "Overview",
    "shop-service": "Service",
    "shop-dependencies": "Dependencies",
    "shop-events": "Events",
    "shop-runtime": "Runtime",
}


def assemble(board: Board) -> dashboard.Dashboard:
    """Return Grafana's dashboard. Raises ValueError when rows are out of order or an id belongs to another row."""
    headings = [row.heading.number for row in board.rows]
    if headings != sorted(set(headings)):
        raise ValueError(f"{board.uid}: rows {headings} are not in order")
    builder = build.Dashboard(f"Shop: {board.title}").uid(board.uid).description(board.description)
    builder.tags(["shop"]).timezone("browser").time("now-30m", "now").refresh("10s").editable()
    builder.tooltip(DashboardCursorSync.CROSSHAIR).variables([_datasource(), _job(), _instance()])
    builder.annotation(_alerts()).links([_link(uid) for uid in TITLES if uid != board.uid])
    for row in board.rows:
        builder.with_row(build.Row(row.heading).id(row.heading.number * 10))
        for panel in row.panels:
            if not str(panel.id).startswith(str(row.heading.number)):
                raise ValueError(f"{board.uid}: the id of {panel.title!r} does not begin with its row's number")
            builder.with_panel(draw(panel))
    return builder.build()


def _datasource() -> build.DatasourceVariable:
    variable = build.DatasourceVariable("datasource").label("Metrics").type("prometheus")
    return variable.current(VariableOption(text="Prometheus", value="prometheus"))


def _job() -> build.QueryVariable:
    return _choice("job", "Process", f"label_values({OURS}, job)")


def _instance() -> build.QueryVariable:
    return _choice("instance", "Instance", f'label_values({OURS}{{job=~"$job"}}, instance)')


def _choice(name: str, label: str, query: str) -> build.QueryVariable:
    variable = build.QueryVariable(name).label(label).datasource(PROMETHEUS)
    variable.query({"query": query, "refId": f"choose-{name}"}).definition(query)
    variable.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.ALPHABETICAL_ASC)
    # ".+" and not a list, so that a process that starts later is shown too.
    variable.multi(True).include_all(True).all_value(".+")
    return variable.current(VariableOption(text="All", value="$__all"))


def _alerts() -> build.AnnotationQuery:
    annotation = build.AnnotationQuery().name("Alerts").datasource(PROMETHEUS).enable(True).icon_color("red")
    annotation.expr(ALERTS).step("15s").title_format("{{alertname}}").text_format("{{severity}} {{context}}")
    return annotation.tag_keys("severity,context")


def _link(uid: str) -> build.DashboardLink:
    link = build.DashboardLink(TITLES[uid]).type(DashboardLinkType.LINK).url(f"/d/{uid}")
    return link.keep_time(True).include_vars(True).icon("dashboard")
