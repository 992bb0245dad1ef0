"""Single flight: concurrent callers of one key, their deadlines, cancellations and failures."""

import asyncio
from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.infra import deadline
from services.infra.single_flight import SingleFlight
from services.kernel.errors import DeadlineExceeded, Overloaded, Unavailable

LONG_SECONDS = 30.0


class Source:
    """Returns each key as its value once released; records the keys and the concurrent fetches of each."""

    def __init__(self) -> None:
        self.reads: Counter[str] = Counter()
        self.at_once: Counter[str] = Counter()
        self.most_at_once = 0
        self.failure: Exception | None = None
        self.answers = asyncio.Event()
        self.deadlines: list[float] = []

    async def __call__(self, keys: tuple[str, ...]) -> Mapping[str, str]:
        self.reads.update(keys)
        self.at_once.update(keys)
        self.most_at_once = max(self.most_at_once, *(self.at_once[key] for key in keys))
        self.deadlines.append(deadline.remaining_seconds())
        try:
            await self.answers.wait()
        finally:
            self.at_once.subtract(keys)
        if self.failure:
            raise self.failure
        return {key: key for key in keys if key != "unknown"}


def flights_of(source: Source, *, seconds: float = LONG_SECONDS, most: int = 100) -> SingleFlight[str]:
    """Flights to a source."""
    return SingleFlight(source, seconds=seconds, most=most)


async def begun(*waiting: "asyncio.Task[Mapping[str, str]]") -> None:
    """Let tasks run until each waits for the source."""
    for _ in range(5):
        await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)


async def test_a_hundred_concurrent_requests_are_one_read() -> None:
    source = Source()
    flights = flights_of(source)
    waiting = [asyncio.create_task(flights.get(("a", "b"))) for _ in range(100)]
    await begun(*waiting)
    source.answers.set()
    assert await asyncio.gather(*waiting) == [{"a": "a", "b": "b"}] * 100
    assert source.reads == {"a": 1, "b": 1}


async def test_only_keys_that_are_not_in_flight_are_fetched() -> None:
    """Each caller gets all its keys."""
    source, told = Source(), list[int]()
    flights = flights_of(source)
    first = asyncio.create_task(flights.get(("a", "b"), shared=told.append))
    second = asyncio.create_task(flights.get(("b", "c", "unknown"), shared=told.append))
    await begun(first, second)
    source.answers.set()
    assert await first == {"a": "a", "b": "b"}
    assert await second == {"b": "b", "c": "c"}
    assert source.reads == {"a": 1, "b": 1, "c": 1, "unknown": 1}
    assert told == [0, 1]


async def test_a_request_after_the_flight_fetches_again() -> None:
    source = Source()
    source.answers.set()
    flights = flights_of(source)
    for _ in range(3):
        assert await flights.get(("a",)) == {"a": "a"}
    assert source.reads == {"a": 3}


async def test_a_failure_is_raised_to_all_who_waited_and_not_stored() -> None:
    source = Source()
    source.failure = Unavailable(1.0)
    flights = flights_of(source)
    waiting = [asyncio.create_task(flights.get(("a",))) for _ in range(3)]
    await begun(*waiting)
    source.answers.set()
    assert await asyncio.gather(*waiting, return_exceptions=True) == [source.failure] * 3
    source.failure = None
    assert await flights.get(("a",)) == {"a": "a"}
    assert source.reads == {"a": 2}


async def test_a_caller_that_leaves_does_not_cancel_the_flight() -> None:
    """Not even the first, who began it."""
    source = Source()
    flights = flights_of(source)
    first, second = (asyncio.create_task(flights.get(("a",))) for _ in range(2))
    await begun(first, second)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    source.answers.set()
    assert await second == {"a": "a"}
    assert source.reads == {"a": 1}


async def test_a_failure_without_waiters_is_not_reported_by_asyncio() -> None:
    complaints = list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    source = Source()
    source.failure = Unavailable(1.0)
    flights = flights_of(source)
    only = asyncio.create_task(flights.get(("a",)))
    await begun(only)
    only.cancel()
    source.answers.set()
    await asyncio.gather(only, return_exceptions=True)
    with pytest.raises(Unavailable):
        await flights.get(("a",))
    assert complaints == []


async def test_each_waits_as_long_as_its_own_deadline_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has little time left leaves; the flight has its own time, not that of who began it."""
    monkeypatch.setattr(deadline, "DEFAULT_SECONDS", 1_000.0)
    source = Source()
    flights = flights_of(source)
    with deadline.within(0.01):
        hurried = asyncio.create_task(flights.get(("a",)))
    patient = asyncio.create_task(flights.get(("a",)))
    with pytest.raises(DeadlineExceeded):
        await hurried
    source.answers.set()
    assert await patient == {"a": "a"}
    assert LONG_SECONDS / 2 < source.deadlines[0] <= LONG_SECONDS


async def test_a_flight_ends_at_its_limit() -> None:
    source = Source()
    flights = flights_of(source, seconds=0.01)
    with pytest.raises(DeadlineExceeded):
        await flights.get(("a",))
    assert source.at_once == {"a": 0}


async def test_there_are_never_more_flights_than_allowed() -> None:
    """Who only joins needs none."""
    source = Source()
    flights = flights_of(source, most=2)
    waiting = [asyncio.create_task(flights.get((key,))) for key in ("a", "b", "a", "b")]
    await begun(*waiting)
    with pytest.raises(Overloaded):
        await flights.get(("a", "c"))
    source.answers.set()
    await asyncio.gather(*waiting)
    assert await flights.get(("c",)) == {"c": "c"}


async def test_no_keys_need_no_fetch() -> None:
    source = Source()
    assert await flights_of(source).get(()) == {}
    assert not source.reads


@given(
    asked=st.lists(st.sets(st.sampled_from("abcde"), min_size=1), min_size=1, max_size=30),
    steps=st.lists(st.sampled_from(("let", "hold", "leave")), min_size=30, max_size=30),
)
def test_no_key_is_read_twice_at_once(asked: list[set[str]], steps: list[str]) -> None:
    """Callers come and leave at any time; each that stays gets its keys."""

    async def scenario() -> None:
        source = Source()
        flights, staying = flights_of(source), list[tuple[set[str], asyncio.Task[Mapping[str, str]]]]()
        for keys, step in zip(asked, steps, strict=False):
            task = asyncio.create_task(flights.get(sorted(keys)))
            await asyncio.sleep(0)
            if step == "leave":
                task.cancel()
            else:
                staying.append((keys, task))
            source.answers.set() if step == "let" else source.answers.clear()
            await asyncio.sleep(0)
        source.answers.set()
        for keys, task in staying:
            assert await task == {key: key for key in keys}
        assert source.most_at_once == 1

    asyncio.run(scenario())
