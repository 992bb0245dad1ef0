"""Translation of a panel into Grafana's: one builder of the SDK for each kind, all in the same style."""

from collections.abc import Callable

from grafana_foundation_sdk.builders import common, logs, loki, nodegraph, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders.dashboard import DashboardLink, ThresholdsConfig
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from grafana.build.lib.datasource import JAEGER, LOKI, PROMETHEUS
from grafana.build.lib.jaeger import JaegerQuery
from grafana.build.lib.panel import Limit, Panel, PanelKind

GRAPH_HEIGHT, NUMBER_HEIGHT, LIST_HEIGHT = 8, 5, 10
KEEP_CHOICES = "${__url_time_range}&${__all_variables}"
# Full names of gRPC methods do not fit into a legend: `order shop.order.v1.OrderService/GetOrder` loses its service.
SHORT_METHOD = {"regex": r"(.*?)[\w.]+/(\w+)", "renamePattern": "$1$2"}


# The SDK has no common type for the methods that its builders share.
PanelBuilder = timeseries.Panel | stat.Panel | table.Panel | logs.Panel | nodegraph.Panel


def draw(panel: Panel) -> Builder[dashboard.Panel]:
    """Return Grafana's panel."""
    builder = BUILDERS[panel.kind](panel)
    builder.id(panel.id).title(panel.title).description(str(panel.words)).unit(panel.unit).span(panel.width)
    builder.thresholds(thresholds(panel.limits))
    if panel.opens:
        link = DashboardLink(f"Open {panel.opens}").type(dashboard.DashboardLinkType.LINK)
        builder.links([link.url(f"/d/{panel.opens}?{KEEP_CHOICES}")])
    return builder


def thresholds(limits: tuple[Limit, ...]) -> Builder[dashboard.ThresholdsConfig]:
    """Return the colours between limits: green, then orange or red; where low values are bad, red, then green."""
    rising = [limit for limit in limits if not limit.bad_below]
    falling = [limit for limit in limits if limit.bad_below]
    base = "red" if falling else "green"
    steps = [dashboard.Threshold(value=limit.value, color="red" if limit.critical else "orange") for limit in rising]
    steps += [dashboard.Threshold(value=limit.value, color="green") for limit in falling]
    steps.sort(key=lambda step: step.value or 0.0)
    first = dashboard.Threshold(value=None, color=base)
    return ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps([first, *steps])


def _lines(panel: Panel) -> PanelBuilder:
    legend = common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
    builder = timeseries.Panel().datasource(PROMETHEUS).height(GRAPH_HEIGHT).legend(legend.show_legend(True))
    builder.tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    builder.fill_opacity(30 if panel.stacked else 5).show_points(VisibilityMode.NEVER).axis_soft_min(0)
    if panel.stacked:
        builder.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    if any("rpc_method" in query.legend for query in panel.queries):
        builder.with_transformation(dashboard.DataTransformerConfig("renameByRegex", options=SHORT_METHOD))
    if panel.limits:
        builder.thresholds_style(common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED))
    for place, query in enumerate(panel.queries):
        target = prometheus.Dataquery().expr(query.expression).legend_format(query.legend).range()
        builder.with_target(target.exemplar(query.exemplars).ref_id(_name(place)).datasource(PROMETHEUS))
    return builder


def _number(panel: Panel) -> PanelBuilder:
    builder = stat.Panel().datasource(PROMETHEUS).height(NUMBER_HEIGHT).graph_mode(BigValueGraphMode.AREA)
    builder.color_mode(BigValueColorMode.VALUE).reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    for place, query in enumerate(panel.queries):
        target = prometheus.Dataquery().expr(query.expression).legend_format(query.legend).range()
        builder.with_target(target.ref_id(_name(place)).datasource(PROMETHEUS))
    return builder


def _table(panel: Panel) -> PanelBuilder:
    builder = table.Panel().datasource(PROMETHEUS).height(LIST_HEIGHT)
    for place, query in enumerate(panel.queries):
        target = prometheus.Dataquery().expr(query.expression).legend_format(query.legend).instant()
        builder.with_target(target.format(PromQueryFormat.TABLE).ref_id(_name(place)).datasource(PROMETHEUS))
    # One table of all queries, a column each. Their time is that of the last refresh: its column only takes width.
    values = [f"Value #{_name(place)}" for place in range(len(panel.queries))] if len(panel.queries) > 1 else ["Value"]
    columns = {value: query.legend for value, query in zip(values, panel.queries, strict=True)}
    organize = {"excludeByName": {"Time": True}, "indexByName": {}, "renameByName": columns}
    builder.with_transformation(dashboard.DataTransformerConfig("merge", options={}))
    builder.with_transformation(dashboard.DataTransformerConfig("organize", options=organize))
    return builder


def _logs(panel: Panel) -> PanelBuilder:
    builder = logs.Panel().datasource(LOKI).height(LIST_HEIGHT).show_time(True).wrap_log_message(True)
    builder.enable_log_details(True)
    for place, query in enumerate(panel.queries):
        builder.with_target(loki.Dataquery().expr(query.expression).ref_id(_name(place)).datasource(LOKI))
    return builder


def _traces(panel: Panel) -> PanelBuilder:
    builder = table.Panel().datasource(JAEGER).height(LIST_HEIGHT)
    for place, query in enumerate(panel.queries):
        builder.with_target(JaegerQuery(_name(place), "search", query.expression, query.tags))
    return builder


def _graph(_panel: Panel) -> PanelBuilder:
    return nodegraph.Panel().datasource(JAEGER).height(LIST_HEIGHT).with_target(JaegerQuery("A", "dependencyGraph"))


def _name(place: int) -> str:
    return chr(ord("A") + place)


BUILDERS: dict[PanelKind, Callable[[Panel], PanelBuilder]] = {
    PanelKind.LINES: _lines,
    PanelKind.NUMBER: _number,
    PanelKind.TABLE: _table,
    PanelKind.LOGS: _logs,
    PanelKind.TRACES: _traces,
    PanelKind.GRAPH: _graph,
}
