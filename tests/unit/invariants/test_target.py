"""Helpers of the invariant checker: merging of sorted streams, sets of numbers, and counts of violations."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from itertools import pairwise
from typing import TypeVar

from hypothesis import given
from hypothesis import strategies as st

from observability.invariants.publication import Seen
from observability.invariants.snapshot_reader import grouped, side_by_side
from observability.invariants.target import MOST_LISTED, InvariantChecks, Tally

Item = TypeVar("Item")


async def stream(items: Iterable[Item]) -> AsyncIterator[Item]:
    """Yield the items."""
    for item in items:
        yield item


@given(st.sets(st.integers(0, 20)), st.sets(st.integers(0, 20)))
def test_two_streams_are_merged_by_their_keys(left: set[int], right: set[int]) -> None:
    """Each item once, in order, beside its twin if there is one."""

    async def merge() -> list[tuple[str | None, int | None]]:
        texts = stream([str(number) for number in sorted(left)])
        pairs = side_by_side(texts, stream(sorted(right)), left_key=int, right_key=lambda number: number)
        return [pair async for pair in pairs]

    both = sorted(left | right)
    expected = [(str(n) if n in left else None, n if n in right else None) for n in both]
    assert asyncio.run(merge()) == expected


@given(st.lists(st.sampled_from("abc")))
def test_neighbours_with_one_value_are_one_group(values: list[str]) -> None:
    """And nothing is lost or moved."""

    async def group() -> list[list[dict[str, str]]]:
        return [rows async for rows in grouped(stream([{"key": value} for value in values]), by="key")]  # type: ignore[misc]

    groups = asyncio.run(group())
    assert [row["key"] for rows in groups for row in rows] == values
    assert all(len({row["key"] for row in rows}) == 1 for rows in groups)
    assert all(one[0]["key"] != other[0]["key"] for one, other in pairwise(groups))


@given(st.lists(st.integers(0, 200)))
def test_a_number_is_seen_from_its_adding_on(numbers: list[int]) -> None:
    """As a set would say."""
    seen, known = Seen(), set[int]()
    for number in numbers:
        assert seen.add(number) == (number in known)
        known.add(number)
        assert {other for other in range(210) if other in seen} == known


def test_a_tally_counts_all_and_lists_the_first() -> None:
    """The result holds when no invariant is violated."""
    tally = Tally("I1", "it adds up")
    assert InvariantChecks((tally.check(),)).holds
    for number in range(MOST_LISTED):
        tally.violated(f"number {number}")
    tally.violated("many", times=90)
    check = tally.check()
    assert (check.violation_count, len(check.violations), check.violations[-1]) == (100, MOST_LISTED, "number 9")
    assert not InvariantChecks((check,)).holds
    assert InvariantChecks((check,)).sentences()[0] == "I1: number 0"
