"""Detector of blocking calls: the event loop lags while its process neither works nor waits for a processor."""

from collections.abc import Sequence

import pytest

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.detectors.blocking_call import find_blocking_call, unexplained_stalls
from observability.analysis.diagnosis import diagnose
from observability.analysis.observation import Observation, ProcessSample, TimedScrape
from observability.analysis.openmetrics import Scrape
from observability.analysis.requests import requests_of
from observability.analysis.trees import Node
from tests.unit.analysis.seeing import call, found, named, queries, query, saved_wait, seen, serve, step

# A request each so many milliseconds.
PERIOD = 100
COUNT = 40
# How late a sleeper is on average where the loop stands still for 57 ms out of each 100, and where it hardly does.
LATE, ON_TIME = 0.017, 0.001


def at(number: int, end: float, *children: Node) -> Node:
    """Return the root of a request that began `number` periods after the first; children are moved with it."""
    start = number * PERIOD
    return serve("POST /things", start, start + end, *(moved(child, start) for child in children))


def moved(node: Node, by: float) -> Node:
    """Return the same tree, shifted by this many milliseconds."""
    span = node.span
    start, end = span.start_nanoseconds / 1e6 + by, span.end_nanoseconds / 1e6 + by
    children = [moved(child, by) for child in node.children]
    return step(
        span.name, start, end, *children, kind=span.kind, service=span.service, attributes=dict(span.attributes)
    )


def blocked(number: int) -> Node:
    """Of 60 ms a statement takes 2; for the 57 ms after it nothing was recorded."""
    return at(number, 60, query("SELECT item", 1, 3))


def worked(cpu_share: float, wait_share: float | None, process: str = "shop") -> Sequence[ProcessSample]:
    """Return a process that worked, and waited for a processor, for these shares of its time."""
    return [
        ProcessSample(second, process, second * cpu_share, None if wait_share is None else second * wait_share)
        for second in (0.0, 1.0, 2.0, 3.0)
    ]


def lag(seconds: float, *, target: str = "shop", metric: str = "some_event_loop_lag_seconds") -> Sequence[TimedScrape]:
    """Two scrapes between which a sleeper was woken 40 times, so late on average."""
    values = ({"count": 10.0, "sum": 0.01}, {"count": 50.0, "sum": 0.01 + 40 * seconds})
    return [
        TimedScrape(when, target, Scrape({f"{metric}_{name}": {(): value} for name, value in each.items()}, ()))
        for when, each in zip((0.0, 4.0), values, strict=True)
    ]


def still(
    roots: Sequence[Node],
    *,
    processes: Sequence[ProcessSample] = tuple(worked(0.1, 0.05)),
    scrapes: Sequence[TimedScrape] = tuple(lag(LATE)),
) -> Observation:
    """Return what was observed of requests, in a process that hardly worked and whose event loop was late."""
    return seen(*roots, processes=processes, scrapes=scrapes)


def _times(root: Node) -> tuple[float, float]:
    return root.span.start_nanoseconds / 1e6, root.span.end_nanoseconds / 1e6


BLOCKED = [blocked(number) for number in range(COUNT)]


# --- What must be there -----------------------------------------------------------------------------------------------


def test_a_stall_without_work_is_a_blocking_call() -> None:
    [candidate] = found(find_blocking_call, still(BLOCKED))
    assert named(candidate) == (Bottleneck.BLOCKING_CALL, "shop", "")
    assert candidate.saving.work == (0.0,) * COUNT


def test_processor_time_is_deducted_from_any_stall() -> None:
    """It worked 0.15 of 3.96 s, in 80 stretches of code: of each stretch of 57 ms, all but 7.4 ms go away."""
    saved = saved_wait(find_blocking_call, still(BLOCKED))
    assert saved == pytest.approx([0.057 - 0.15 * 3.96 / 80] * COUNT)


def test_an_unread_answer_loses_the_time_of_the_stall() -> None:
    """Another's statement of 2 ms is over after 58, since the loop stood still from 3 to 60."""
    held_up = at(7, 65, query("SELECT item", 2.5, 60.5))
    saved = saved_wait(find_blocking_call, still([*BLOCKED, held_up]))
    assert saved[-1] == pytest.approx(0.057, abs=0.009)


def test_a_delayed_incoming_call_loses_the_time_of_the_stall() -> None:
    """Another service's calls are on their way for 1 ms, and for 58 while the called process stands still."""
    answers = [serve("POST /things", 0, 60, query("SELECT item", 1, 3))]
    asked = [at(number, 63, call("ask", 0, 61, *answers, service="front")) for number in range(COUNT)]
    late = serve("answer", 58.5, 61, query("SELECT item", 59, 60.5))
    held_up = step("POST /things", 702, 765, moved(call("ask", 0, 62, late, service="front"), 702), service="front")
    saved = saved_wait(find_blocking_call, still([*asked, held_up], processes=worked(0.05, 0.05)))
    assert saved[-1] == pytest.approx(0.055, abs=0.009)


def test_an_unblocked_request_saves_nothing() -> None:
    alone = at(COUNT, 3, query("SELECT item", 1, 2))
    assert saved_wait(find_blocking_call, still([*BLOCKED, alone]))[-1] == 0


@pytest.mark.parametrize("metric", ["app_event_loop_lag_seconds", "nodejs_eventloop_lag_seconds"])
def test_any_measure_of_the_loop_that_is_called_so_will_do(metric: str) -> None:
    assert found(find_blocking_call, still(BLOCKED, scrapes=lag(LATE, metric=metric)))


@pytest.mark.parametrize(("seconds", "count"), [(LATE, 1), (ON_TIME, 0)])
def test_a_gauge_will_do_as_well(seconds: float, count: int) -> None:
    scrapes = [TimedScrape(when, "shop", Scrape({"eventloop_lag_seconds": {(): seconds}}, ())) for when in (0, 4)]
    assert len(found(find_blocking_call, still(BLOCKED, scrapes=scrapes))) == count


def test_a_stalled_loop_delays_all_operations() -> None:
    """Three, each of which blocks it in turn: it is as late as all of them together make it."""
    roots = [serve(f"GET /{number % 3}", *_times(root), *root.children) for number, root in enumerate(BLOCKED)]
    assert found(find_blocking_call, still(roots))


def test_only_the_scrapes_around_the_requests_count() -> None:
    """An idle minute before them and one after would make any lag small."""
    idle = [lag(ON_TIME)[0], *lag(ON_TIME)]
    before = [TimedScrape(each.at_seconds - 60, each.target, each.scrape) for each in idle[:1]]
    after = TimedScrape(64.0, "shop", lag(0)[1].scrape)
    assert found(find_blocking_call, still(BLOCKED, scrapes=[*before, *lag(LATE), after]))


def test_a_summary_counts_by_its_mean() -> None:
    scrapes = [
        TimedScrape(
            each.at_seconds,
            each.target,
            Scrape({**each.scrape.samples, "some_event_loop_lag_seconds": {(("quantile", "0.5"),): 9.0}}, ()),
        )
        for each in lag(LATE)
    ]
    assert found(find_blocking_call, still(BLOCKED, scrapes=scrapes))


def test_unmatched_targets_fall_back_to_the_latest_loop() -> None:
    scrapes = [*lag(ON_TIME, target="10.0.0.1:9090"), *lag(LATE, target="10.0.0.2:9090")]
    assert found(find_blocking_call, still(BLOCKED, scrapes=scrapes))


# --- What must not be there -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("why", "processes"),
    [
        ("it works", worked(0.6, 0.05)),
        ("it waits for a processor", worked(0.1, 0.5)),
        ("whether it works is unknown", ()),
        ("it is unknown how long it waits for a processor", worked(0.1, None)),
        ("another process is idle", worked(0.1, 0.05, process="stock")),
    ],
)
def test_no_blocking_call_where_the_process(why: str, processes: Sequence[ProcessSample]) -> None:
    assert found(find_blocking_call, still(BLOCKED, processes=processes)) == [], why


@pytest.mark.parametrize(
    ("why", "scrapes"),
    [
        ("the loop is on time: each request waits for itself alone", lag(ON_TIME)),
        ("another loop is late", [*lag(LATE, target="stock"), *lag(ON_TIME)]),
        ("nobody looked at a loop", ()),
        ("nobody looked at this loop", [*lag(LATE, target="stock"), *lag(LATE, metric="some_lag_seconds")]),
        ("the loop is later than it could be by this", lag(3 * LATE)),
        ("what is late is no loop", lag(LATE, metric="consumer_lag_seconds")),
        ("the loop woke nobody", lag(0, metric="some_event_loop_lag_seconds")[:1]),
    ],
)
def test_no_blocking_call_where(why: str, scrapes: Sequence[TimedScrape]) -> None:
    assert found(find_blocking_call, still(BLOCKED, scrapes=scrapes)) == [], why


@pytest.mark.parametrize(
    ("why", "children"),
    [
        ("the wait has a span", [query("SELECT item", 1, 3), call("write file", 3, 59)]),
        ("statements follow each other", queries("SELECT item", 28, start=1, each=2)),
        ("the wait is for a connection", [query("BEGIN", 1, 59, waited=57)]),
        ("the wait is for the network", [call("ask", 1, 59, serve("answer", 29, 31, service="stock"))]),
    ],
)
def test_no_blocking_call_where_in_each_request(why: str, children: list[Node]) -> None:
    assert found(find_blocking_call, still([at(number, 60, *children) for number in range(COUNT)])) == [], why


def test_no_lag_beyond_that_of_any_timer_says_anything() -> None:
    """Each of 15 ms awaits something unrecorded for 12; a loop that stood still then would be 0.7 ms late."""
    short = [at(number, 15, query("SELECT item", 1, 3)) for number in range(COUNT)]
    assert found(find_blocking_call, still(short, processes=worked(0.05, 0.02), scrapes=lag(ON_TIME))) == []


def test_a_stall_within_the_counters_precision_is_ignored() -> None:
    """It stood still for 58 ms of each 100, and worked or waited for 55."""
    assert found(find_blocking_call, still(BLOCKED, processes=worked(0.4, 0.15))) == []


def test_counters_of_several_processes_of_one_name_are_ignored() -> None:
    two = [ProcessSample(second, "shop", 500.0 * (second % 2), 0.0) for second in (0.0, 1.0, 2.0, 3.0)]
    assert found(find_blocking_call, still(BLOCKED, processes=two)) == []


def test_a_pool_wait_does_not_delay_the_loop() -> None:
    waiting = [at(number, 60, query("BEGIN", 58, 59, waited=57)) for number in range(COUNT)]
    assert found(find_blocking_call, still(waiting, scrapes=lag(ON_TIME))) == []


def test_a_process_with_other_activity_is_not_stalled() -> None:
    """Spans of other requests begin and end every 2 ms meanwhile: if the loop is late, then not because of this."""
    beside = [at(number, 60, *queries("SELECT other", 29, start=1, each=2)) for number in range(COUNT)]
    assert found(find_blocking_call, still([*BLOCKED, *beside])) == []


# --- The verdict ------------------------------------------------------------------------------------------------------


def test_the_verdict_is_the_blocking_call() -> None:
    verdict = diagnose(still(BLOCKED))
    assert (verdict.bottleneck, verdict.service, verdict.confidence) == (Bottleneck.BLOCKING_CALL, "shop", "high")


def test_statements_as_long_as_the_stall_name_the_operation() -> None:
    """Of 130 ms, 30 statements take 60: they may well be why the loop is late."""
    both = [at(number, 98, *queries("SELECT item", 30, start=1, each=1.5)) for number in range(COUNT)]
    verdict = diagnose(still(both, scrapes=lag(LATE)))
    assert (verdict.bottleneck, verdict.also) == (Bottleneck.N_PLUS_ONE, ("blocking_call in shop",))


LONG = [
    at(number, 61, query("SELECT item", 1, 2), query("UPDATE item", 3, 4), query("COMMIT", 5, 6))
    for number in range(COUNT)
]


def test_a_late_loop_of_an_unknown_process_may_be_at_work() -> None:
    """Code takes 55 ms at once, where 1 ms is usual; that its loop is late shows that all requests wait for it."""
    [sentence] = unexplained_stalls(still(LONG, processes=()), requests_of(still(LONG).traces))
    assert sentence == (
        "shop spends 45% of the time in long stretches of its own code, and its event loop is 17.0 ms late: "
        "record its processor use, to tell work from blocking"
    )


@pytest.mark.parametrize(
    ("why", "scrapes"),
    [
        ("nothing shows that there is a loop", ()),
        ("the loop is on time", lag(ON_TIME)),
        ("the loop is another's", lag(LATE, target="stock")),
    ],
)
def test_code_that_takes_long_does_not_stall_a_process_where(why: str, scrapes: Sequence[TimedScrape]) -> None:
    """In Go or Java each request sleeps, waits for a lock, or works for itself."""
    observation = still(LONG, processes=(), scrapes=scrapes)
    assert unexplained_stalls(observation, requests_of(observation.traces)) == [], why
