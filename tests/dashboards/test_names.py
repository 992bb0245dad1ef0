"""Checks that dashboards read series and labels that exist, and that each of our metrics is drawn."""

import re

from observability.telemetry.instruments import DURATION_BUCKETS_SECONDS
from observability.testbed.monitoring.panels import Expression, dashboards, expressions
from tests.dashboards.promql import aggregations, selectors
from tests.dashboards.vocabulary import FOREIGN, TARGET_LABELS, catalogue, recorded, rules, vocabulary
from tests.each import for_each

ALL = list(expressions())
KNOWN = vocabulary()
BOUNDS = {str(bound) for bound in DURATION_BUCKETS_SECONDS} | {"+Inf"}
# Metrics of the catalogue that no panel and no recording rule reads, each with its reason; at most five.
NOT_DRAWN: dict[str, str] = {}
each_expression = for_each(ALL)


@each_expression
def test_an_expression_reads_series_that_exist(expression: Expression) -> None:
    unknown = [selector for selector in selectors(expression.text) if not selector.names(list(KNOWN))]
    assert not unknown


@each_expression
def test_a_matcher_names_a_label_of_its_series(expression: Expression) -> None:
    for selector in selectors(expression.text):
        used = {label for label, _, _ in selector.matchers} - {"__name__"}
        for name in selector.names(list(KNOWN)):
            assert used <= KNOWN[name].labels | TARGET_LABELS


@each_expression
def test_sum_labels_are_labels_of_the_series(expression: Expression) -> None:
    for labels, summed in aggregations(expression.text):
        for selector in selectors(summed):
            # A selector of several names may give each its own label.
            known = [KNOWN[name].labels for name in selector.names(list(KNOWN))]
            assert set(labels) <= TARGET_LABELS.union(*known)


@each_expression
def test_a_legend_names_labels_that_the_result_has(expression: Expression) -> None:
    named = set(re.findall(r"{{\s*(\w+)\s*}}", expression.legend))
    kept = {label for labels, _ in aggregations(expression.text) for label in labels}
    assert named <= kept


@each_expression
def test_a_bucket_is_one_of_the_catalogue(expression: Expression) -> None:
    bounds = [
        value for selector in selectors(expression.text) for label, _, value in selector.matchers if label == "le"
    ]
    assert set(bounds) <= BOUNDS


@each_expression
def test_rates_are_of_counters_alone(expression: Expression) -> None:
    for selector in selectors(expression.text):
        for name in selector.names(list(KNOWN)):
            assert selector.of_growth == KNOWN[name].grows, name


def test_variables_and_annotations_read_series_that_exist() -> None:
    texts = []
    for dashboard in dashboards():
        variables = [v["query"]["query"] for v in dashboard["templating"]["list"] if v["type"] == "query"]
        texts += [re.fullmatch(r"label_values\((.*), \w+\)", query)[1] for query in variables]  # type: ignore[index]
        texts += [a["expr"] for a in dashboard["annotations"]["list"] if "expr" in a]
    assert texts
    assert not [text for text in texts for selector in selectors(text) if not selector.names(list(KNOWN))]


def test_every_metric_of_the_catalogue_is_drawn_or_recorded() -> None:
    texts = [expression.text for expression in ALL] + [rule["expr"] for rule in rules() if "record" in rule]
    read = {name for text in texts for selector in selectors(text) for name in selector.names(list(KNOWN))}
    drawn = {KNOWN[name].metric for name in read}
    every = {series.metric for series in catalogue().values()}
    assert every - drawn == set(NOT_DRAWN)


def test_every_series_of_others_that_is_listed_is_read() -> None:
    selected = [selector for expression in ALL for selector in selectors(expression.text)]
    read = {name for selector in selected for name in selector.names(list(FOREIGN))}
    assert set(FOREIGN) - read == set()


def test_few_metrics_are_left_out_each_with_a_reason() -> None:
    assert len(NOT_DRAWN) <= 5
    assert all(NOT_DRAWN.values())


def test_every_objective_is_drawn_from_its_recordings() -> None:
    read = {selector.name for expression in ALL for selector in selectors(expression.text)}
    shares = {name for name in recorded() if ":ratio" in name}
    assert shares
    assert shares <= read
