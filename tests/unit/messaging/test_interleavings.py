"""Model check of the relay protocol: all orders of steps of two relays, a reader and losses of the log.

Against the log in memory, which keeps the promises of the durable ones: see tests/integration/messaging.
"""

import asyncio
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from services.infra.messaging.log import Fenced, Replaced
from services.infra.messaging.message import LogState, Message
from tests.fakes.event_log import MemoryLog
from tests.full import in_full
from tests.integration.messaging.conftest import message

BATCH_SIZE = 1
RELAYS = st.sampled_from((0, 1))


class Database:
    """What a relay's database holds, in memory: what is stored, what is published, and under which epoch."""

    def __init__(self) -> None:
        self.stored: list[Message] = []
        self.published = 0
        self.epoch = 0
        self.incarnation: str | None = None


class TwoRelays(RuleBasedStateMachine):
    """Each step of a relay may be its last: between any two another rule comes in."""

    def __init__(self) -> None:
        super().__init__()
        self.log, self.database = MemoryLog(), Database()
        self.epochs = [0, 0]
        self.batches: list[tuple[list[Message], str] | None] = [None, None]
        self.appended: list[tuple[int, LogState] | None] = [None, None]
        self.cursor, self.read_from = 0, ""
        self.effects: list[UUID] = []
        # Two events are published, so that a batch that is old is not the log's first.
        self.store(2)
        self.lead(0)
        for _ in range(2):
            self.take(0)
            self.append(0)
            self.mark(0)

    @rule(count=st.integers(1, 2))
    def store(self, count: int) -> None:
        """Events are stored."""
        self.database.stored += [message(version=version) for version in range(1, count + 1)]

    @rule(relay=RELAYS)
    def lead(self, relay: int) -> None:
        """Give the lease to a relay, which takes a batch; the other one does not notice."""
        self.database.epoch += 1
        self.epochs[relay] = self.database.epoch
        self.appended[relay] = None
        self.take(relay)

    @rule(relay=RELAYS)
    def take(self, relay: int) -> None:
        """Let a relay check the log, refill a lost one from the beginning, and take a batch."""
        state = asyncio.run(self.log.state())
        database, current = self.database, self.epochs[relay] == self.database.epoch
        lost = database.incarnation is not None and (
            state.incarnation != database.incarnation or state.count < database.published
        )
        if lost and current:
            try:
                asyncio.run(self.log.reset(epoch=self.epochs[relay]))
            except Fenced:
                return
            state = asyncio.run(self.log.state())
            database.published, database.incarnation = 0, state.incarnation
        start = database.published
        self.batches[relay] = database.stored[start : start + BATCH_SIZE], state.incarnation

    @rule(relay=RELAYS)
    def append(self, relay: int) -> None:
        """Let a relay append the batch that it took, maybe long ago; it may do so again."""
        taken = self.batches[relay]
        if taken is None:
            return
        try:
            state = asyncio.run(self.log.append(taken[0], epoch=self.epochs[relay], incarnation=taken[1]))
        except (Fenced, Replaced):
            self.batches[relay] = None
            return
        self.appended[relay] = len(taken[0]), state

    @rule(relay=RELAYS)
    def mark(self, relay: int) -> None:
        """Let a relay mark what it appended, if it still has the lease."""
        appended, self.appended[relay], self.batches[relay] = self.appended[relay], None, None
        if appended and self.epochs[relay] == self.database.epoch:
            self.database.published += appended[0]
            self.database.incarnation = appended[1].incarnation

    @rule(lost=st.integers(1, 3))
    def truncate(self, lost: int) -> None:
        """Lose the end of the log."""
        del self.log.messages[-lost:]

    @rule()
    def wipe(self) -> None:
        """Replace the log by a new one."""
        asyncio.run(self.log.reset())

    @rule(limit=st.integers(1, 5))
    def read(self, limit: int) -> None:
        """Let a consumer read on, or from the beginning of another log."""
        batch = asyncio.run(self.log.read(after=self.cursor, limit=limit, wait_seconds=0))
        if batch.state.incarnation != self.read_from or batch.state.head < self.cursor:
            self.cursor, self.read_from = 0, batch.state.incarnation
            return
        self.effects += [d.message.event_id for d in batch.deliveries if d.message.event_id not in self.effects]
        self.cursor += len(batch.deliveries)

    @invariant()
    def each_event_is_there_once(self) -> None:
        """Whatever was published twice."""
        events = [message.event_id for message in self.log.messages]
        assert len(events) == len(set(events))

    def teardown(self) -> None:
        """When all is quiet, the log and the consumer have everything, and the log has it in order."""
        self.lead(0)
        while True:
            self.take(0)
            if not (self.batches[0] or ([], ""))[0]:
                break
            self.append(0)
            self.mark(0)
        stored = [message.event_id for message in self.database.stored]
        assert [message.event_id for message in self.log.messages] == stored
        while self.read_from != self.log.incarnation or self.cursor < len(self.log.messages):
            self.read(5)
        assert set(self.effects) == set(stored)


@pytest.mark.parametrize("examples", [40, *in_full(250)])
def test_two_relays_in_any_order(examples: int) -> None:
    run_state_machine_as_test(
        TwoRelays, settings=settings(max_examples=examples, stateful_step_count=25, deadline=None)
    )
