"""Detector of CPU-bound code, on requests from a simulated processor and on look-alikes with another cause."""

import random
from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean

import pytest

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.detectors.cpu_bound import find_cpu_bound
from observability.analysis.diagnosis import diagnose
from observability.analysis.metrics_page import parse_page
from observability.analysis.observation import Observation, ProcessSample, TimedScrape
from observability.analysis.trees import Node
from observability.analysis.verdict import Answer
from tests.unit.analysis.seeing import call, found, named, query, seen, serve, step

COUNT = 400
RATE = 40.0
SECONDS = COUNT / RATE
WORK = 0.02
ONE_THREAD = "nodejs_eventloop_lag_seconds 0.01"


def shared_processor(work: Sequence[float], rate: float, seed: int = 1) -> list[tuple[float, float]]:
    """Simulate one processor that serves all present requests alike; return when each came and went, in seconds."""
    source = random.Random(seed)
    came, at = [], 0.0
    for _ in work:
        at += source.expovariate(rate)
        came.append(at)
    left, went = dict[int, float](), dict[int, float]()
    now, number = 0.0, 0
    while len(went) < len(work):
        next_arrival = came[number] if number < len(work) else float("inf")
        first = min(left, key=lambda each: left[each], default=None)
        done = now + left[first] * len(left) if first is not None else float("inf")
        until = min(next_arrival, done)
        for each in left:
            left[each] -= (until - now) / len(left)
        now = until
        if first is not None and done <= next_arrival:
            del left[first]
            went[first] = now
        else:
            left[number] = work[number]
            number += 1
    return [(came[each], went[each]) for each in range(len(work))]


def requests(times: Sequence[tuple[float, float]], *, service: str = "shop") -> list[Node]:
    """Return requests that send a statement of 2 ms and then run code in these times."""
    return [
        serve(
            "GET /report",
            start * 1e3 - 2,
            end * 1e3,
            query("SELECT rows", start * 1e3 - 2, start * 1e3, service=service),
            service=service,
        )
        for start, end in times
    ]


def working(scale: float = 1.0) -> list[tuple[float, float]]:
    source = random.Random(2)
    return shared_processor([scale * WORK * source.uniform(0.5, 1.5) for _ in range(COUNT)], RATE)


def sleeping(seconds: float) -> list[tuple[float, float]]:
    """Return requests that each take as long as they would alone."""
    return [(number / RATE, number / RATE + seconds) for number in range(COUNT)]


def spaced(seconds: float) -> list[tuple[float, float]]:
    """Return one request at a time, each twice as long after the one before it as it takes."""
    return [(2 * seconds * number, 2 * seconds * number + seconds) for number in range(round(SECONDS / seconds / 2))]


def throttled(*, statement: float) -> list[Node]:
    """Return requests of one thread with a quota of 12.5 ms in each 100: code of 2 ms, a statement, code of 6 ms.

    The statement takes so many milliseconds in the database; the thread reads its answer when it has time and quota.
    """
    source, processor = random.Random(3), Quota()
    at, arrivals = 0.0, []
    for _ in range(140):
        at += source.expovariate(14.0 / 1e3)
        arrivals.append(at)
    ready = [(at, at, 0.0) for at in arrivals]
    roots = []
    while ready:
        due, came, asked = min(ready)
        ready.remove((due, came, asked))
        if not asked:
            _, asked = processor.work(due, 2)
            ready.append((asked + statement, came, asked))
            continue
        answered, done = processor.work(due, 6)
        roots.append(serve("GET /stock", came, done, query("SELECT stock", asked, answered)))
    return roots


class Quota:
    """One thread that may work for 12.5 ms of each period of 100 ms; times in milliseconds."""

    def __init__(self) -> None:
        self.free = 0.0
        self.used = defaultdict[int, float](float)

    def work(self, ready: float, milliseconds: float) -> tuple[float, float]:
        """Do this work once it is ready and all earlier work is done; return when it began and ended."""
        now, began = max(ready, self.free), None
        while milliseconds > 0:
            period = int(now // 100)
            able = min(milliseconds, 12.5 - self.used[period], 100 * (period + 1) - now)
            if able <= 0:
                now = 100.0 * (period + 1)
                continue
            began = now if began is None else began
            self.used[period] += able
            milliseconds -= able
            now += able
        self.free = now
        assert began is not None
        return began, now


def quota(processors: float, *, used: float) -> list[TimedScrape]:
    """Return scrapes of a container that is stopped in half of its periods."""
    labels = '{container="shop"}'
    return [
        TimedScrape(
            at,
            "cadvisor",
            parse_page(
                f"container_cpu_usage_seconds_total{labels} {used * at}\n"
                f"container_spec_cpu_quota{labels} {processors * 1e5}\ncontainer_spec_cpu_period{labels} 100000\n"
                f"container_cpu_cfs_periods_total{labels} {10 * at}\n"
                f"container_cpu_cfs_throttled_periods_total{labels} {5 * at}\n"
            ),
        )
        for at in (0.0, SECONDS)
    ]


def metrics(used: float, *lines: str, target: str = "shop") -> list[TimedScrape]:
    """Return scrapes of a process that uses so many processors."""
    return [
        TimedScrape(at, target, parse_page("\n".join((f"process_cpu_seconds_total {used * at}", *lines, ""))))
        for at in (0.0, SECONDS)
    ]


BUSY = tuple(requests(working()))


# --- What must be there -----------------------------------------------------------------------------------------------


def test_code_on_a_full_processor_is_cpu_bound() -> None:
    [candidate] = found(find_cpu_bound, seen(*BUSY, scrapes=metrics(RATE * WORK, ONE_THREAD)))
    assert named(candidate) == (Bottleneck.CPU_BOUND, "shop", "GET /report")


def test_the_verdict_is_cpu_bound() -> None:
    verdict = diagnose(seen(*BUSY, scrapes=metrics(RATE * WORK, ONE_THREAD)))
    assert (verdict.answer, verdict.bottleneck, verdict.confidence) == (Answer.FOUND, Bottleneck.CPU_BOUND, "high")


def test_halved_work_is_predicted_as_a_processor_would_serve_it() -> None:
    """The processor was simulated with all of the work, and with half of it."""
    observation = seen(*BUSY, scrapes=metrics(RATE * WORK, ONE_THREAD))
    prediction = diagnose(observation).prediction
    assert prediction is not None
    taken = fmean(end - start + 0.002 for start, end in working(0.5))
    before = fmean(end - start + 0.002 for start, end in working())
    [candidate] = found(find_cpu_bound, observation)
    assert before - candidate.saving.total() / COUNT == pytest.approx(taken, rel=0.25)
    halved = sorted(end - start + 0.002 for start, end in working(0.5))
    assert prediction.after["p50"].low <= halved[COUNT // 2] <= prediction.after["p50"].high


def test_a_container_that_its_quota_stops_is_full() -> None:
    """It has a fifth of a processor, so that 4 ms of work take 20."""
    labels = '{container="shop",pod="shop-7d9f8c6b5-x2x4z"}'
    pages = [
        f"container_cpu_usage_seconds_total{labels} {0.16 * at}\n"
        f"container_spec_cpu_quota{labels} 20000\ncontainer_spec_cpu_period{labels} 100000\n"
        for at in (0.0, SECONDS)
    ]
    scrapes = [TimedScrape(at, "kubelet", parse_page(page)) for at, page in zip((0.0, SECONDS), pages, strict=True)]
    [candidate] = found(find_cpu_bound, seen(*BUSY, scrapes=scrapes))
    assert candidate.service == "shop"


def test_a_wait_for_a_processor_is_enough() -> None:
    """It is unknown how many processors it may use, but for each second of work it waits four."""
    scrapes = metrics(RATE * WORK, f"shop_run_queue_wait_seconds_total {4 * RATE * WORK * SECONDS}")
    scrapes[0] = metrics(RATE * WORK, "shop_run_queue_wait_seconds_total 0")[0]
    [candidate] = found(find_cpu_bound, seen(*BUSY, scrapes=scrapes))
    assert candidate.service == "shop"


def test_services_in_one_process_are_judged_together() -> None:
    roots = [
        serve(
            "GET /",
            start * 1e3 - 1,
            end * 1e3 + 1,
            step("render", start * 1e3, end * 1e3, service="pages"),
            service="front",
        )
        for start, end in working()
    ]
    [candidate] = found(find_cpu_bound, seen(*roots, scrapes=metrics(RATE * WORK, ONE_THREAD, target="all-in-one")))
    assert named(candidate) == (Bottleneck.CPU_BOUND, "pages", "render")


def test_a_long_computation_is_cpu_bound_even_on_an_idle_processor() -> None:
    """A password is hashed in 100 ms, for one request at a time, on one of four processors: half of the time."""
    observation = seen(*requests(spaced(0.1)), scrapes=metrics(0.5, "go_sched_gomaxprocs_threads 4"))
    verdict = diagnose(observation)
    assert (verdict.answer, verdict.bottleneck, verdict.operation) == (
        Answer.FOUND,
        Bottleneck.CPU_BOUND,
        "GET /report",
    )
    assert verdict.prediction is not None
    assert verdict.prediction.after["p50"].value == pytest.approx(0.052, rel=0.1)


def test_calls_of_a_throttled_process_wait_for_its_processor() -> None:
    """A statement takes 4 ms, but its span four times as long, and no request needs more than 8 ms of processor."""
    verdict = diagnose(seen(*throttled(statement=4), scrapes=quota(0.125, used=0.11)))
    assert (verdict.bottleneck, verdict.service) == (Bottleneck.CPU_BOUND, "shop")
    assert Bottleneck.SLOW_CALL not in {each.bottleneck for each in verdict.classes}


# --- Look-alikes ------------------------------------------------------------------------------------------------------


def looks_alike(why: str, observation: Observation) -> None:
    assert found(find_cpu_bound, observation) == [], why


def test_an_idle_processor_binds_no_code() -> None:
    looks_alike("a sleep or a lock", seen(*requests(sleeping(0.1)), scrapes=metrics(0.1, ONE_THREAD)))


def test_a_wait_for_a_processor_that_others_use_is_not_the_codes() -> None:
    """Its own use is a tenth of its limit: with half of the work it would wait as long."""
    samples = [ProcessSample(at, "shop", 0.1 * at, 0.8 * at) for at in (0.0, SECONDS)]
    looks_alike("unknown processes are busy", seen(*requests(sleeping(0.02)), processes=samples))


def test_short_pieces_of_code_on_an_idle_processor_are_ordinary_work() -> None:
    """A request computes for 20 ms, half of the time."""
    looks_alike("the work is spread", seen(*requests(spaced(0.02)), scrapes=metrics(0.5, ONE_THREAD)))


def test_a_long_wait_on_a_processor_at_work_for_half_of_it_is_no_computation() -> None:
    """Requests are in the code for half of the time, and the process works for a quarter of it."""
    looks_alike("it may wait for a lock", seen(*requests(spaced(0.1)), scrapes=metrics(0.25, ONE_THREAD)))


def test_a_statement_that_is_always_slow_is_slow_for_a_throttled_process_too() -> None:
    """The fastest tenth takes 300 ms: no wait for the processor explains that."""
    verdict = diagnose(seen(*throttled(statement=300), scrapes=quota(0.125, used=0.11)))
    assert verdict.bottleneck is not Bottleneck.CPU_BOUND


def test_a_busy_process_that_no_request_waits_for_binds_nothing() -> None:
    scrapes = [*metrics(0.1, ONE_THREAD), *metrics(1.0, ONE_THREAD, target="batch")]
    looks_alike("another process is busy", seen(*requests(sleeping(0.1)), scrapes=scrapes))


def test_a_sleep_beside_busy_threads_is_no_work() -> None:
    """The requests in the code, 24 at a time, are more than 3.2 of 4 processors could be working for."""
    observation = seen(*requests(sleeping(0.6)), scrapes=metrics(3.2, "go_sched_gomaxprocs_threads 4"))
    looks_alike("the requests sleep", observation)


def test_processor_time_that_the_requests_cannot_need_is_not_theirs() -> None:
    """A request is in the code for 5 ms, a fifth of the time of one thread; the process uses 3.6 processors."""
    observation = seen(*requests(sleeping(0.005)), scrapes=metrics(3.6, "go_sched_gomaxprocs_threads 4"))
    looks_alike("another job in the process is busy", observation)


def test_a_process_without_a_known_limit_is_not_full() -> None:
    looks_alike("it may have many processors", seen(*BUSY, scrapes=metrics(RATE * WORK)))


def test_code_that_takes_little_of_the_requests_is_not_named() -> None:
    roots = [
        serve("GET /report", start * 1e3, end * 1e3 + 2_000, call("ask", end * 1e3, end * 1e3 + 2_000))
        for start, end in working()
    ]
    looks_alike("the call takes the time", seen(*roots, scrapes=metrics(RATE * WORK, ONE_THREAD)))


def test_traces_alone_name_no_processor() -> None:
    looks_alike("nothing is known of processors", seen(*BUSY))
