"""Tests of baskets: the orderable lines are kept, and all others are counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observability.load.baskets import FEE_CODES, BasketReport, RawLine, keep_orderable
from observability.load.orders import BasketLine


def clean(*lines: RawLine) -> tuple[tuple[BasketLine, ...] | None, BasketReport]:
    report = BasketReport(format="test")
    return keep_orderable(lines, report), report


def test_codes_are_trimmed_and_upper_cased() -> None:
    basket, _ = clean(RawLine(" 85123a ", None))
    assert basket == (BasketLine("85123A"),)


def test_a_repeat_is_merged_and_counted() -> None:
    basket, report = clean(RawLine("22752", None), RawLine("22752", None))
    assert (basket, report.merged_lines) == ((BasketLine("22752"),), 1)


def test_quantities_of_repeats_are_added() -> None:
    basket, _ = clean(RawLine("85099b", 2), RawLine("85099B", 3))
    assert basket == (BasketLine("85099B", 5),)


@pytest.mark.parametrize("code", [*sorted(FEE_CODES), "gift_0001_20", "post", " bank charges "])
def test_a_fee_is_dropped_and_counted_by_its_code(code: str) -> None:
    basket, report = clean(RawLine(code, 1), RawLine("22752", 1))
    assert basket == (BasketLine("22752", 1),)
    assert report.fee_lines_by_code == {code.strip().upper(): 1}


@pytest.mark.parametrize("code", ["DCGS0003", "85123A", "BAG", "C2X", "POSTER"])
def test_a_code_that_is_no_listed_fee_is_stock(code: str) -> None:
    assert clean(RawLine(code, 1))[0] == (BasketLine(code, 1),)


def test_a_negative_quantity_is_a_return() -> None:
    basket, report = clean(RawLine("22752", -4), RawLine("22633", 1))
    assert (basket, report.returned_lines) == ((BasketLine("22633", 1),), 1)


@pytest.mark.parametrize("line", [RawLine("", 1), RawLine("?", 1), RawLine("A" * 65, 1), RawLine("22752", 0)])
def test_a_malformed_line_is_left_out_and_counted(line: RawLine) -> None:
    basket, report = clean(line, RawLine("22633", 1))
    assert (basket, report.malformed_lines) == ((BasketLine("22633", 1),), 1)


def test_a_line_over_the_quantity_bound_is_left_out_and_counted() -> None:
    basket, report = clean(RawLine("23843", 80_995), RawLine("22633", 1))
    assert (basket, report.over_quantity_lines) == ((BasketLine("22633", 1),), 1)


def test_a_basket_of_fees_is_left_empty_and_counted() -> None:
    basket, report = clean(RawLine("POST", None))
    assert (basket, report.empty_baskets) == (None, 1)


@pytest.mark.parametrize(("lines", "kept"), [(1_500, True), (1_501, False)])
def test_a_basket_of_over_1500_lines_is_left_out(lines: int, kept: bool) -> None:
    basket, report = clean(*(RawLine(str(10_000 + line), None) for line in range(lines)))
    assert (basket is not None, report.oversized_baskets) == (kept, int(not kept))


@given(
    st.lists(st.builds(RawLine, st.sampled_from(["22752", "post", "", "22633"]), st.integers(-2, 10_001)), max_size=9)
)
def test_every_line_is_used_or_counted(lines: list[RawLine]) -> None:
    _, report = clean(*lines)
    left_out = report.fee_lines + report.returned_lines + report.malformed_lines + report.over_quantity_lines
    assert report.usable_lines + report.merged_lines + left_out == len(lines)
