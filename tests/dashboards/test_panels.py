"""Form of the panels: descriptions, units, datasources, links, ids and layout."""

import re
from collections import Counter
from typing import Any

import pytest

from grafana.build.__main__ import BOARDS
from grafana.build.boards.board import TITLES, assemble
from grafana.build.lib.panel import Board, Heading, PanelRow
from grafana.build.lib.quantiles import UNTRACED
from observability.testbed.monitoring.panels import dashboards, panels
from tests.each import for_each

DASHBOARDS = {dashboard["uid"]: dashboard for dashboard in dashboards()}
PANELS = [(uid, panel) for uid, dashboard in DASHBOARDS.items() for panel in panels(dashboard)]
each_dashboard = for_each(DASHBOARDS.values(), name=lambda dashboard: dashboard["uid"])
each_panel = for_each([panel for _, panel in PANELS], name=lambda panel: f"{panel['id']} {panel['title']}")
VARIABLES = {"datasource", "job", "instance", "__rate_interval", "__url_time_range", "__all_variables"}
# Groups of the regular expression that shortens the names of gRPC methods.
GROUPS = {"1", "2"}


@each_panel
def test_a_panel_has_a_unit(panel: dict[str, Any]) -> None:
    assert panel["fieldConfig"]["defaults"]["unit"]


@each_panel
def test_a_panel_description_has_its_four_parts(panel: dict[str, Any]) -> None:
    shows, good, bad, then = panel["description"].split("\n\n")
    assert re.fullmatch(r"[A-Z0-9].+\.", shows)
    assert re.fullmatch(r"Good: .+\.", good)
    assert re.fullmatch(r"Bad: .{4,}\.", bad)
    assert re.fullmatch(r"Next: .{10,}\.", then)
    assert "?" not in panel["description"]


@each_panel
def test_a_legend_has_no_full_grpc_method_names(panel: dict[str, Any]) -> None:
    if any("rpc_method" in target.get("legendFormat", "") for target in panel["targets"]):
        (rename,) = panel["transformations"]
        pattern = rename["options"]["renamePattern"].replace("$", "\\")
        names = ("order shop.inventory.v1.InventoryService/ReserveStock", "shop.order.v1.OrderService/GetOrder", "p95")
        shortened = [re.sub(f"^{rename['options']['regex']}$", pattern, name) for name in names]
        assert shortened == ["order ReserveStock", "GetOrder", "p95"]


@each_panel
def test_a_table_of_metrics_has_no_column_of_times(panel: dict[str, Any]) -> None:
    if panel["type"] == "table" and panel["datasource"]["type"] == "prometheus":
        *_, organize = panel["transformations"]
        assert organize["options"]["excludeByName"] == {"Time": True}


@each_panel
def test_a_panel_asks_a_datasource_that_is_provisioned_or_chosen(panel: dict[str, Any]) -> None:
    asked = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
    known = {("prometheus", "${datasource}"), ("loki", "loki"), ("jaeger", "jaeger")}
    assert {(source["type"], source["uid"]) for source in asked} <= known
    assert len({source["uid"] for source in asked}) == 1


@each_dashboard
def test_ids_are_unique(dashboard: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))


@each_dashboard
def test_panels_do_not_overlap(dashboard: dict[str, Any]) -> None:
    cells = [
        (x, y)
        for panel in dashboard["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))


@each_dashboard
def test_panels_fill_the_width(dashboard: dict[str, Any]) -> None:
    widths: Counter[int] = Counter()
    for panel in dashboard["panels"]:
        widths[panel["gridPos"]["y"]] += panel["gridPos"]["w"]
    assert set(widths.values()) == {24}


@each_dashboard
def test_rows_are_in_the_fixed_order(dashboard: dict[str, Any]) -> None:
    rows = [panel["title"] for panel in dashboard["panels"] if panel["type"] == "row"]
    assert rows == [heading for heading in Heading if heading in rows]
    assert rows[-1] == Heading.SIGNALS


@each_dashboard
def test_no_variable_is_unknown(dashboard: dict[str, Any]) -> None:
    everything = str({key: value for key, value in dashboard.items() if key != "templating"})
    assert set(re.findall(r"\$\{?(\w+)", everything)) <= VARIABLES | GROUPS


@each_dashboard
def test_a_dashboard_can_be_imported_alone(dashboard: dict[str, Any]) -> None:
    assert "id" not in dashboard
    assert "__inputs" not in dashboard
    assert {variable["name"] for variable in dashboard["templating"]["list"]} == {"datasource", "job", "instance"}


@each_dashboard
def test_a_dashboard_refreshes_and_shows_alerts(dashboard: dict[str, Any]) -> None:
    assert dashboard["refresh"] == "10s"
    (alerts,) = dashboard["annotations"]["list"]
    assert alerts["expr"].startswith('ALERTS{alertname=~"Shop.*"')


@each_dashboard
def test_dashboard_links_keep_time_and_variables(dashboard: dict[str, Any]) -> None:
    links = dashboard["links"]
    assert {link["url"] for link in links} == {f"/d/{uid}" for uid in DASHBOARDS if uid != dashboard["uid"]}
    assert all(link["keepTime"] and link["includeVars"] for link in links)


@each_panel
def test_panel_links_keep_time_and_variables(panel: dict[str, Any]) -> None:
    for link in panel.get("links", []):
        uid, query = re.fullmatch(r"/d/([\w-]+)\?(.*)", link["url"]).groups()  # type: ignore[union-attr]
        assert uid in DASHBOARDS
        assert query == "${__url_time_range}&${__all_variables}"


def test_each_duration_that_has_quantiles_leads_to_traces() -> None:
    asked = [[t for t in panel["targets"] if "histogram_quantile" in t.get("expr", "")] for _, panel in PANELS]
    durations = [targets for targets in asked if targets]
    traced = [targets for targets in durations if not any(name in targets[0]["expr"] for name in UNTRACED)]
    assert len(traced) > len(durations) / 2
    assert all(any(target["exemplar"] for target in targets) for targets in traced)


def test_titles_are_those_of_the_dashboards() -> None:
    assert {uid: dashboard["title"] for uid, dashboard in DASHBOARDS.items()} == {
        uid: f"Shop: {title}" for uid, title in TITLES.items()
    }


def test_rows_out_of_order_are_refused() -> None:
    board = Board("shop-service", "Service", "", (PanelRow(Heading.ERRORS, ()), PanelRow(Heading.RATE, ())))
    with pytest.raises(ValueError, match="not in order"):
        assemble(board)


def test_a_panel_whose_id_belongs_to_another_row_is_refused() -> None:
    panel = next(row for row in BOARDS[1].rows if row.heading is Heading.RATE).panels[0]
    with pytest.raises(ValueError, match="row's number"):
        assemble(Board("shop-service", "Service", "", (PanelRow(Heading.ERRORS, (panel,)),)))
