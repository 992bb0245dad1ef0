"""Data of the report's charts: critical path of a slow request, and saturation of resources over time."""

from pathlib import Path

import pytest

from observability.analysis.metrics_page import parse_page
from observability.analysis.observation import Observation, ProcessSample, Session, SessionSample, TimedScrape
from observability.analysis.observation_folder import read_observation
from observability.report.experiment.saturation import SaturationChart, saturation
from observability.report.slow_request import SlowRequest, slow_request
from tests.unit.experiments.making import pool_page, write_observation

NOTHING = Observation((), (), (), (), (), (), None, 0, 0)


@pytest.fixture(name="slow")
def slow_fixture(tmp_path: Path) -> SlowRequest:
    write_observation(tmp_path / "seen")
    slow = slow_request(read_observation(tmp_path / "seen"))
    assert slow is not None
    return slow


def test_the_slow_request_is_the_95th_percentile(slow: SlowRequest) -> None:
    assert slow.requests == 40
    assert slow.seconds == pytest.approx(0.137)


def test_the_path_adds_up_to_the_whole_request(slow: SlowRequest) -> None:
    assert sum(row.self_seconds for row in slow.rows) == pytest.approx(slow.seconds)
    assert sum(stretch.width for row in slow.rows for stretch in row.own) == pytest.approx(1.0)


def test_calls_in_a_row_share_a_row(slow: SlowRequest) -> None:
    repeated = slow.rows[-1]
    assert repeated.name == "SELECT items \N{MULTIPLICATION SIGN} 4"
    assert repeated.duration_seconds == pytest.approx(0.04)
    assert repeated.bar.width == pytest.approx(0.04 / 0.137)
    assert len(repeated.own) == 4


def test_spans_after_the_answer_are_left_out(slow: SlowRequest) -> None:
    assert "process orders" not in {row.name for row in slow.rows}
    assert slow.left_out == 1


def test_without_requests_there_is_no_slow_one() -> None:
    assert slow_request(NOTHING) is None


def seen(panel: SaturationChart) -> dict[str, list[float]]:
    """Return the values of a panel's series by name."""
    return {series.name: [round(value, 6) for value in series.values] for series in panel.series}


def with_processes(*readings: tuple[float, str, float]) -> Observation:
    samples = tuple(ProcessSample(at, name, cpu, None) for at, name, cpu in readings)
    return Observation((), (), (), (), (), samples, None, 0, 0)


def test_processor_time_is_by_second_busiest_process_first() -> None:
    observed = with_processes(
        (100, "idle", 5.0), (100, "busy", 1.0), (101, "busy", 1.5), (102, "idle", 5.2), (102, "busy", 2.5)
    )
    assert seen(saturation(observed)[0]) == {"busy": [0.5, 1.0], "idle": [0.1, 0.1]}


def test_small_processes_are_merged() -> None:
    observed = with_processes(
        *((100 + second, f"p{number}", second * number) for number in range(1, 10) for second in (0, 1))
    )
    values = seen(saturation(observed)[0])
    assert list(values) == ["p9", "p8", "p7", "p6", "p5", "p4", "all others"]
    assert values["all others"] == [6.0]


def test_sessions_are_counted_by_wait_event() -> None:
    def session(state: str, waits_for: str | None) -> Session:
        return Session(1, "some", state, waits_for, None, "SELECT", (), 0.0)

    looks = (
        SessionSample(100.0, (session("active", "Lock"), session("active", None))),
        SessionSample(100.5, (session("active", "Lock"), session("idle in transaction", "Client"))),
        SessionSample(101.0, ()),
    )
    observed = Observation((), (), looks, (), (), (), None, 0, 0)
    assert seen(saturation(observed)[1]) == {"Lock": [1.0], "CPU": [0.5], "idle in transaction": [0.5]}


def with_waits(*waited: tuple[float, float]) -> Observation:
    scrapes = tuple(TimedScrape(at, "stock", parse_page(pool_page(waited=total))) for at, total in waited)
    return Observation((), scrapes, (), (), (), (), None, 0, 0)


def test_pool_waits_are_shown_as_waiting_callers() -> None:
    assert seen(saturation(with_waits((100, 0.0), (101, 0.5), (102, 2.5)))[2]) == {"main of stock": [0.5, 2.0]}


def test_an_unused_pool_has_no_waits_until_it_is_used() -> None:
    waits = with_waits((100, 0.0), (101, 1.0), (102, 1.0), (103, 1.0), (104, 3.0))
    assert seen(saturation(waits)[2]) == {"main of stock": [1.0, 0.0, 0.0, 2.0]}


def test_the_seconds_that_count_are_marked(tmp_path: Path) -> None:
    write_observation(tmp_path / "seen")
    processor = saturation(read_observation(tmp_path / "seen"))[0]
    assert (processor.counted_from, processor.counted_until) == (1.0, 5.0)
    assert seen(processor) == {"shop": [0.5] * 5, "stock": [0.25] * 5}


def test_an_unobserved_resource_has_no_series() -> None:
    assert [panel.series for panel in saturation(NOTHING)] == [(), (), ()]
