"""Comparison of the event log with the event store: lost, repeated and reordered events of any log are reported."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from uuid import uuid4

import pytest

from observability.invariants.publication import I6, Publication
from observability.invariants.snapshot_reader import reader, snapshot
from observability.invariants.target import Check, Tally
from observability.telemetry.telemetry import unobserved
from services.infra.messaging.message import Batch, LogState, Message, ReceivedMessage
from services.infra.messaging.open_log import open_log
from tests.integration.invariants.conftest import Sound
from tests.integration.invariants.keeping import tamper


@dataclass(frozen=True, slots=True)
class GivenLog:
    """A log that holds given messages; `read_state` is what it says of itself from the first read on."""

    messages: Sequence[Message]
    known: LogState
    read_state: LogState

    async def read(self, *, after: int, limit: int, wait_seconds: float) -> Batch:
        """Return what comes after a position, three at a time."""
        some = self.messages[after : after + min(limit, 3)]
        return Batch(
            self.read_state, tuple(ReceivedMessage(after + n, message) for n, message in enumerate(some, start=1))
        )

    async def state(self) -> LogState:
        """Return what it said at first."""
        return self.known


async def messages_of(sound: Sound) -> tuple[LogState, list[Message]]:
    """Return what is in the real log."""
    log = await open_log(sound.dsns["event_log"], telemetry=unobserved("test"))
    try:
        batch = await log.read(after=0, limit=10_000, wait_seconds=0)
    finally:
        await log.close()
    return batch.state, [delivery.message for delivery in batch.deliveries]


def put_last_second(messages: list[Message]) -> list[Message]:
    """Put the second of an order's two events before the first."""
    versions = Counter(message.aggregate_id for message in messages)
    first = next(n for n, message in enumerate(messages) if versions[message.aggregate_id] == 2)
    second = next(n for n, m in enumerate(messages) if n > first and m.aggregate_id == messages[first].aggregate_id)
    edited = [*messages]
    edited[first], edited[second] = messages[second], messages[first]
    return edited


async def check(sound: Sound, log: GivenLog, *, quiet: bool = True) -> Check:
    """Compare the store with a log."""
    async with snapshot(sound.dsns["order"]) as orders, reader(sound.dsns["order"]) as now:
        head, tally = await log.state(), Tally("I6", I6)
        publication = Publication(orders=orders, now=now, everywhere=now, log=log, head=head, tally=tally)  # type: ignore[arg-type]
        return (await publication.check(quiet=quiet)).check()


EDITS: dict[str, tuple[Callable[[list[Message]], list[Message]], str]] = {
    "one twice": (lambda messages: [*messages, messages[3]], "is in the log twice"),
    "the last one lost": (lambda messages: messages[:-1], "is neither in the log nor in the outbox"),
    "other bytes": (
        lambda messages: [replace(messages[0], data=b"\xff"), *messages[1:]],
        "otherwise than in the store",
    ),
    "an end before its beginning": (put_last_second, "is in the log before the version before it"),
}


@pytest.mark.parametrize("edit", EDITS)
async def test_a_fault_of_a_log_is_reported_once(sound: Sound, edit: str) -> None:
    """In words that say what."""
    state, messages = await messages_of(sound)
    change, words = EDITS[edit]
    edited = change(messages)
    there = LogState(state.incarnation, len(edited), len(edited))
    found = await check(sound, GivenLog(edited, there, there))
    assert found.violation_count == 1
    assert words in found.violations[0]


async def test_a_fault_of_every_event_is_counted(sound: Sound) -> None:
    """A log that has all of them twice, and one that has none."""
    state, messages = await messages_of(sound)
    for edited in ([each for each in messages for _ in range(2)], []):
        there = LogState(state.incarnation, len(edited), len(edited))
        assert (await check(sound, GivenLog(edited, there, there))).violation_count == len(messages)


async def test_a_log_that_is_filled_again_is_left_alone_under_load(sound: Sound) -> None:
    """It has lost events, and its relay knows or will know."""
    state, messages = await messages_of(sound)
    few = LogState(state.incarnation, 2, 2)
    other = LogState("another", 2, 2)
    for known in (few, other):
        found = await check(sound, GivenLog(messages[:2], known, known), quiet=False)
        assert (found.violation_count, "filled again" in found.skipped) == (0, True)
        assert (await check(sound, GivenLog(messages[:2], known, known))).violation_count > 0


async def test_a_log_replaced_during_the_read_is_skipped_under_load(sound: Sound) -> None:
    """Half of it would be of another log."""
    state, messages = await messages_of(sound)
    log = GivenLog(messages, state, LogState("another", 1, 1))
    found = await check(sound, log, quiet=False)
    assert (found.violation_count, "replaced by another" in found.skipped) == (0, True)
    assert "was replaced by another" in (await check(sound, log)).violations[0]


async def test_an_event_stored_during_the_read_is_no_stranger(sound: Sound) -> None:
    """The log is read after the store: what it has beyond that is looked up once more."""
    state, messages = await messages_of(sound)
    # In the store at first under another id, so that the log seems to have more than the store.
    newest, hidden = messages[-1].event_id, uuid4()
    hide = f"UPDATE events SET event_id = '{hidden}' WHERE event_id = '{newest}'"
    show = f"UPDATE events SET event_id = '{newest}' WHERE event_id = '{hidden}'"
    await tamper(sound.dsns["order"], hide)
    async with snapshot(sound.dsns["order"]) as orders, reader(sound.dsns["order"]) as now:
        await tamper(sound.dsns["order"], show)
        log = GivenLog(messages, state, state)
        tally = Tally("I6", I6)
        publication = Publication(orders=orders, now=now, everywhere=now, log=log, head=state, tally=tally)  # type: ignore[arg-type]
        assert (await publication.check(quiet=False)).check().violations == ()
