"""Processor limit: what it writes for both versions of control groups, and that the kernel enforces it."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from observability.analysis.metrics_page import parse_page
from observability.analysis.observation import TimedScrape
from observability.analysis.processor_metrics import measured
from observability.testbed.errors import TestbedError
from observability.testbed.processor_limit import ProcessorLimit, limited, write_limit

PROCESSORS = 0.1
STAT_1 = "nr_periods 100\nnr_throttled 60\nthrottled_time 2500000000\n"
STAT_2 = "usage_usec 900000\nnr_periods 100\nnr_throttled 60\nthrottled_usec 2500000\n"
# It works all the time, in a child.
BUSY = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])"


def files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_version_1_gets_a_quota_of_its_period_and_the_most_shares(tmp_path: Path) -> None:
    write_limit(tmp_path, 0.25, 0.01, is_version_1=True)
    assert files(tmp_path) == {"cpu.cfs_period_us": "10000", "cpu.cfs_quota_us": "2500", "cpu.shares": "262144"}


def test_version_2_gets_both_in_one_file_and_the_highest_weight(tmp_path: Path) -> None:
    write_limit(tmp_path, 0.25, 0.01, is_version_1=False)
    assert files(tmp_path) == {"cpu.max": "2500 10000", "cpu.weight": "10000"}


@pytest.mark.parametrize("stat", [STAT_1, STAT_2], ids=["version 1", "version 2"])
def test_a_limit_is_read_as_that_of_a_container(stat: str, tmp_path: Path) -> None:
    """The diagnosis reads the use, the quota, and the share of the periods in which it was stopped."""
    limit = ProcessorLimit(tmp_path, PROCESSORS, 0.01)
    pages = []
    for at, text in enumerate(("nr_periods 0\nnr_throttled 0\nthrottled_usec 0\n", stat)):
        (tmp_path / "cpu.stat").write_text(text)
        pages.append(TimedScrape(float(at), "cadvisor", parse_page(limit.metrics("database", 0.08 * at))))
    [use] = measured(pages)
    assert (use.owner, use.limit) == ("database", PROCESSORS)
    assert (use.used, use.stopped, use.waited) == pytest.approx((0.08, 0.6, 2.5))


def test_without_control_groups_the_error_says_what_is_needed(tmp_path: Path) -> None:
    with pytest.raises(TestbedError, match="needs a control group"), limited(1, 0.1, name="a", groups=tmp_path):
        pass


@pytest.fixture
def busy() -> Iterator[psutil.Process]:
    """Start a process whose child works all the time."""
    process = subprocess.Popen([sys.executable, "-c", BUSY])
    children: list[psutil.Process] = []
    try:
        for _ in range(3_000):
            if children := psutil.Process(process.pid).children():
                break
            time.sleep(0.01)
        yield psutil.Process(process.pid)
    finally:
        for each in [psutil.Process(process.pid), *children]:
            each.kill()
        process.wait()


def test_the_kernel_stops_a_program_and_its_children_at_the_limit(busy: psutil.Process) -> None:
    try:
        with limited(busy.pid, PROCESSORS, name="test") as limit:
            [child] = busy.children()
            before, began = sum(child.cpu_times()[:2]), time.monotonic()
            while throttled(limit) < 20:
                assert time.monotonic() < began + 60
                time.sleep(0.01)
            used = sum(child.cpu_times()[:2]) - before
            elapsed = time.monotonic() - began
    except TestbedError as error:
        pytest.skip(str(error))
    # Two ticks of the clock that processor time is counted by, and one of the quota.
    assert used <= PROCESSORS * elapsed + 0.05
    assert not limit.folder.exists()
    assert busy.is_running()


def throttled(limit: ProcessorLimit) -> int:
    text = (limit.folder / "cpu.stat").read_text()
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith("nr_throttled ")))
