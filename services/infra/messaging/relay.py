"""Who carries events from the outbox to the log? One relay a database, in order, fenced when it was away too long.

A relay that is paused holds a stale batch when it wakes. Its lease has gone to another with a higher epoch, and the log
refuses what comes with the lower one. A log that was wiped, or has lost what it acknowledged, is filled again from the
events, in batches that a crash interrupts and the next relay goes on with.
"""

from time import monotonic
from uuid import uuid4

from observability.telemetry.messaging import RelayTelemetry
from services.infra.crash_points import crash_points
from services.infra.messaging.log import EventLog, Fenced, Replaced
from services.infra.messaging.message import LogState
from services.infra.messaging.outbox import Lease, Outbox

BATCH_SIZE = 500
LEASE_SECONDS = 5.0
POLL_SECONDS = 0.1
# How often the outbox is counted while there is something to publish.
COUNT_SECONDS = 1.0


class Relay:
    """One candidate; `step` is a worker's step.

    The lease is renewed at half its time, and the log is looked at then even when there is nothing to publish.
    """

    def __init__(
        self,
        *,
        outbox: Outbox,
        log: EventLog,
        telemetry: RelayTelemetry,
        lease_seconds: float = LEASE_SECONDS,
        batch_size: int = BATCH_SIZE,
    ) -> None:
        self._outbox = outbox
        self._log = log
        self._telemetry = telemetry
        self._lease_seconds = lease_seconds
        self._batch_size = batch_size
        self._holder = str(uuid4())
        self._lease: Lease | None = None
        self._above_epoch = 0
        self._has_looked = False
        self._renew_at, self._count_at = 0.0, 0.0

    async def step(self) -> float:
        """Publish one batch as the leader; return the seconds to wait before the next step."""
        await self._count_backlog()
        try:
            lease = await self._lead()
            return self._lease_seconds / 2 if lease is None else await self._publish_some(lease)
        except Fenced as fenced:
            # A log that is ahead of our database, which was restored from a copy, would fence us for ever otherwise.
            self._above_epoch = max(self._above_epoch, fenced.epoch)
            self._lease = None
            self._telemetry.fenced()
            return self._lease_seconds / 2
        except BaseException:
            self._lease = None  # what was marked nobody knows: it is read again with the lease
            raise

    async def give_up(self) -> None:
        """Let another relay begin at once."""
        self._lease = None
        self._telemetry.leads(leading=False, epoch=0)
        await self._outbox.give_up_lease(self._holder)

    async def _count_backlog(self) -> None:
        """Count whether we lead or not: where nobody leads, somebody must see it."""
        if monotonic() >= self._count_at:
            self._telemetry.backlog(*await self._outbox.backlog())
            self._count_at = monotonic() + COUNT_SECONDS

    async def _lead(self) -> Lease | None:
        if self._lease is None or monotonic() >= self._renew_at:
            began = monotonic()
            self._lease = None
            lease = await self._outbox.take_lease(self._holder, self._lease_seconds, above_epoch=self._above_epoch)
            self._lease, self._renew_at = lease, began + self._lease_seconds / 2
            self._has_looked = False
            self._telemetry.leads(leading=lease is not None, epoch=lease.epoch if lease else 0)
        return self._lease

    async def _publish_some(self, lease: Lease) -> float:
        republishing = lease.republish_after is not None
        if republishing:
            events = await self._outbox.to_republish(lease, self._batch_size)
        else:
            events = await self._outbox.unpublished(self._batch_size)
        if not events and not republishing and self._has_looked:
            return POLL_SECONDS
        state = await self._log.state()
        if is_lost(lease, state):
            await self._begin_republish(lease, state)
            return 0.0
        self._has_looked = True
        if not events and not republishing:
            return POLL_SECONDS
        # Fewer than a batch are the range's last.
        reached = events[-1].sequence if republishing and len(events) == self._batch_size else None
        crash_points.reached("relay.before_append")
        try:
            state = await self._log.append(
                [event.message for event in events], epoch=lease.epoch, incarnation=state.incarnation
            )
        except Replaced:
            return 0.0  # the next step looks at it anew
        crash_points.reached("relay.after_append")
        self._lease = await self._outbox.mark_published(events, lease=lease, log=state, reached=reached)
        self._telemetry.published(len(events), again=republishing)
        return 0.0

    async def _begin_republish(self, lease: Lease, state: LogState) -> None:
        """Publish everything again: to an empty log, since what it holds may come after what it lacks."""
        if state.count or state.incarnation == lease.log_incarnation:
            await self._log.reset(epoch=lease.epoch)
            state = await self._log.state()
        self._lease = await self._outbox.begin_republish(lease=lease, log=state)
        self._telemetry.log_was_lost()


def is_lost(lease: Lease, state: LogState) -> bool:
    """Say whether a log is another one than we published to, or holds less than it acknowledged."""
    if lease.log_incarnation is None:
        return False
    return state.incarnation != lease.log_incarnation or state.count < lease.published_count
