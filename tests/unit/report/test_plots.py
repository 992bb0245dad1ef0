"""Axis labels and percentages of plots: labels do not overlap, and percentages are short."""

from itertools import pairwise

import pytest

from observability.report.plots import percent, thin_out
from observability.report.scales import LinearScale, Tick, log_scale

# The narrowest plot is on a phone of 390 pixels; a label of four digits is 36 wide, with its gap.
NARROWEST_PIXELS = 280
LABEL_PIXELS = 36


@pytest.mark.parametrize(
    "ticks",
    [
        log_scale(3, 2_000, first=0, last=1_000).ticks(),
        log_scale(10, 90, first=0, last=1_000).ticks(),
        LinearScale(30, 0, 1_000).ticks(6),
    ],
    ids=["three decades", "one decade", "linear"],
)
def test_thin_out_leaves_labels_that_do_not_touch_on_a_phone(ticks: list[Tick]) -> None:
    shown = [tick for tick in thin_out(ticks) if not tick.wide_only]
    gaps = [(later.at - earlier.at) / 1_000 * NARROWEST_PIXELS for earlier, later in pairwise(shown)]
    assert shown[0].at == 0
    assert min(gaps) >= LABEL_PIXELS


def test_thin_out_keeps_ticks_of_three_decades_on_a_screen() -> None:
    ticks = log_scale(3, 2_000, first=0, last=1_000).ticks()
    assert [tick.label for tick in thin_out(ticks)] == [tick.label for tick in ticks]


def test_thin_out_drops_ticks_that_touch_on_a_wide_screen() -> None:
    assert [tick.at for tick in thin_out([Tick(0, "0"), Tick(20, "1"), Tick(60, "2")])] == [0, 60]


@pytest.mark.parametrize(("across", "written"), [(0, "0%"), (1_000, "100%"), (123.456, "12.35%"), (205, "20.5%")])
def test_percent_is_written_as_short_as_its_hundredths_need(across: float, written: str) -> None:
    assert percent(across) == written
