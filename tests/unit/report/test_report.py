"""A demo's result as JSON, as a page and in a terminal."""

import re
from dataclasses import replace

import pytest
from rich.console import Console

from observability.report.demo.page import render
from observability.report.demo.result import DemoResult, parse_result
from observability.report.demo.terminal import print_demo
from services.local.platform.endpoints import Bus
from tests.unit.report.sample import broken_result, sample_result


def printed(result: DemoResult, *, width: int = 120) -> str:
    """Return the terminal's output."""
    console = Console(width=width, record=True, quiet=False, file=None)
    with console.capture() as capture:
        print_demo(console, result)
    return capture.get()


@pytest.mark.parametrize("result", [sample_result(), broken_result()], ids=["whole", "broken"])
def test_a_result_goes_to_json_and_back(result: DemoResult) -> None:
    assert parse_result(result.to_json()) == result


def test_a_result_of_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="plumbline-demo/1"):
        parse_result(replace(sample_result(), format="plumbline-demo/1").to_json())


@pytest.mark.parametrize(("bus", "words"), [("postgres", "events in PostgreSQL"), ("nats", "events in NATS")])
def test_the_page_says_where_events_were_published(bus: Bus, words: str) -> None:
    assert words in render(replace(sample_result(), bus=bus))


def test_the_time_to_effect_is_on_the_page_and_in_the_terminal() -> None:
    result = sample_result()
    assert "placed to notified" in render(result)
    assert "placed to notified" in printed(result)


def test_a_run_without_any_confirmation_has_a_page_too() -> None:
    assert "No confirmation was sent." in render(replace(sample_result(), effects=()))


def test_a_quantile_of_too_few_orders_says_what_it_needs() -> None:
    few = replace(sample_result(), quantiles=sample_result().quantiles[:2])
    assert "p99 needs 368 sold" in render(few)
    assert "p99 needs 368 sold" in printed(few)
    assert "95 % within" in render(few)
    assert "too few were sold" in render(replace(few, quantiles=())).lower()


def test_the_headline_has_capacity_and_counts_that_add_up() -> None:
    result = sample_result()
    for shown in (render(result), " ".join(printed(result).split())):
        assert "This machine sells about 50 orders a second; the demo ran at 25." in shown
        assert "1,500 orders: 1,350 sold, 150 rejected (OUT_OF_STOCK 150)" in shown
        assert "No order failed." in shown


def test_an_order_out_of_stock_is_rejected_and_not_failed() -> None:
    [table] = sample_result().tables
    assert (table.rows[0].rejected, table.rows[0].faults) == (150, 0)
    assert 'class="fault">' not in render(sample_result()).partition("Rate, errors, duration")[2]


def test_the_report_leads_to_the_experiment_that_followed() -> None:
    result = replace(sample_result(), experiment="../lab/n_plus_one-1/report.html")
    assert 'href="../lab/n_plus_one-1/report.html"' in render(result)
    assert 'href="20260102-030405-abcdef/../lab/n_plus_one-1/report.html"' in render(
        result, run_folder="20260102-030405-abcdef/"
    )
    assert "The experiment that followed" not in render(sample_result())


def test_each_chart_is_drawn_once() -> None:
    labels = re.findall(r'<svg class="plot"[^>]*aria-label="([^"]+)"', render(sample_result()))
    assert labels == ["Histogram of latencies with quantiles", "Latency of each order over time"]


def test_a_span_opens_to_its_attributes_without_a_script() -> None:
    result = sample_result()
    [fall, *_] = result.waterfalls
    row = replace(fall.rows[0], span_id="b7ad6b7169203331", attributes={"http.route": "/orders"})
    page = render(replace(result, waterfalls=(replace(fall, rows=(row, *fall.rows[1:])),)))
    assert f'href="#trace-{fall.trace_id}"' in page
    assert f'id="trace-{fall.trace_id}"' in page
    assert "<dt>http.route</dt><dd>/orders</dd>" in page
    assert "b7ad6b7169203331" in page
    assert "<script" not in page


def test_no_figure_is_cut_off_in_a_terminal_of_80_columns() -> None:
    result = sample_result()
    [table] = result.tables
    row = replace(table.rows[0], name="shop.inventory.v1.InventoryService/ConfirmReservation", p95_seconds=1.234)
    shown = printed(replace(result, tables=(replace(table, rows=(row,)),)), width=80)
    line = next(line for line in shown.splitlines() if line.startswith("InventoryService/Confirm"))
    assert line.split()[-7:] == ["1,500", "25.0", "10.0", "%", "0", "12.0", "1,234"]


def test_broken_checks_are_at_the_top_of_the_page() -> None:
    page = render(broken_result())
    assert page.index("The traces do not add up") < page.index("How long customers waited")
