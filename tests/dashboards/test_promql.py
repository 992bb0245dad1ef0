"""Tests of the reader of PromQL expressions."""

import pytest

from tests.dashboards.promql import Selector, aggregations, selectors


def test_a_selector_has_its_name_and_its_matchers() -> None:
    assert selectors('up{job=~"a|b", le="0.5"} == 0') == [
        Selector("up", (("job", "=~", "a|b"), ("le", "=", "0.5")), of_growth=False)
    ]


def test_a_bare_name_is_a_selector() -> None:
    found = selectors("sum by (job) (rate(http_total[5m])) / 1e3 or on (job) time() - started_seconds")
    assert [(selector.name, selector.of_growth) for selector in found] == [
        ("http_total", True),
        ("started_seconds", False),
    ]


@pytest.mark.parametrize("function", ["rate", "increase", "irate"])
def test_growth_is_found_inside_rate_functions(function: str) -> None:
    found = selectors(f'{function}(a_total{{x="(]"}}[1m]) + b')
    assert {selector.name: selector.of_growth for selector in found} == {"a_total": True, "b": False}


def test_a_matcher_on_the_name_selects_the_names_that_it_matches() -> None:
    (selector,) = selectors('{__name__=~"x_(a|b)(_total)?"}')
    assert selector.names(["x_a", "x_b_total", "x_c"]) == ["x_a", "x_b_total"]


def test_an_aggregation_has_its_labels_and_what_it_sums() -> None:
    expression = 'histogram_quantile(0.5, sum by (le, job) (rate(a_bucket{x=")"}[1m]))) - max by (y) (b)'
    assert list(aggregations(expression)) == [
        (["le", "job"], 'rate(a_bucket{x=")"}[1m])'),
        (["y"], "b"),
    ]


def test_an_expression_that_does_not_close_is_refused() -> None:
    with pytest.raises(ValueError, match="unbalanced"):
        selectors("rate(a[1m]")
