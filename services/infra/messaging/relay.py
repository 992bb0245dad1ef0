"""Relay: publishes events from the outbox to the event log, in order, one relay per database at a time.

A relay that was paused holds a stale batch when it continues. By then another relay has the lease, with a higher epoch,
and the log rejects appends with the lower one. A log that was reset, or has lost acknowledged events, is refilled from
the stored events in batches; after a crash the next relay continues where the last one stopped.
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
# Interval of counting the outbox.
COUNT_SECONDS = 1.0


class Relay:
    """One candidate for the lease; `step` is a worker's step.

    The lease is renewed after half its time. The state of the log is checked then, even if there is nothing to publish.
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
        self._log_checked = False
        self._renew_at, self._count_at = 0.0, 0.0

    async def step(self) -> float:
        """Publish one batch if this relay has the lease; return the seconds to wait before the next step."""
        await self._count_backlog()
        try:
            lease = await self._hold_lease()
            return self._lease_seconds / 2 if lease is None else await self._publish_batch(lease)
        except Fenced as fenced:
            # After a restore of our database from a backup the log has a higher epoch, and would fence us for ever.
            self._above_epoch = max(self._above_epoch, fenced.epoch)
            self._lease = None
            self._telemetry.fenced()
            return self._lease_seconds / 2
        except BaseException:
            self._lease = None  # what was marked is unknown: it is read again with the lease
            raise

    async def give_up(self) -> None:
        """End the lease, so that another relay can take it at once."""
        self._lease = None
        self._telemetry.leads(leading=False, epoch=0)
        await self._outbox.give_up_lease(self._holder)

    async def _count_backlog(self) -> None:
        """Count the outbox with or without the lease, so that a backlog is visible when no relay has it."""
        if monotonic() >= self._count_at:
            self._telemetry.backlog(*await self._outbox.backlog())
            self._count_at = monotonic() + COUNT_SECONDS

    async def _hold_lease(self) -> Lease | None:
        if self._lease is None or monotonic() >= self._renew_at:
            began = monotonic()
            self._lease = None
            lease = await self._outbox.take_lease(self._holder, self._lease_seconds, above_epoch=self._above_epoch)
            self._lease, self._renew_at = lease, began + self._lease_seconds / 2
            self._log_checked = False
            self._telemetry.leads(leading=lease is not None, epoch=lease.epoch if lease else 0)
        return self._lease

    async def _publish_batch(self, lease: Lease) -> float:
        republishing = lease.republish_after is not None
        if republishing:
            events = await self._outbox.to_republish(lease, self._batch_size)
        else:
            events = await self._outbox.unpublished(self._batch_size)
        if not events and not republishing and self._log_checked:
            return POLL_SECONDS
        state = await self._log.state()
        if is_lost(lease, state):
            await self._begin_republish(lease, state)
            return 0.0
        self._log_checked = True
        if not events and not republishing:
            return POLL_SECONDS
        # A batch that is not full ends the range.
        reached = events[-1].sequence if republishing and len(events) == self._batch_size else None
        crash_points.reached("relay.before_append")
        try:
            state = await self._log.append(
                [event.message for event in events],
                epoch=lease.epoch,
                incarnation=state.incarnation,
                count=lease.published_count,
            )
        except Replaced:
            return 0.0  # the next step reads the state again
        crash_points.reached("relay.after_append")
        self._lease = await self._outbox.mark_published(events, lease=lease, log=state, reached=reached)
        self._telemetry.published(len(events), again=republishing)
        return 0.0

    async def _begin_republish(self, lease: Lease, state: LogState) -> None:
        """Reset the log and republish everything, since events that it still has may come after events that it lost."""
        if state.count or state.incarnation == lease.log_incarnation:
            await self._log.reset(epoch=lease.epoch)
            state = await self._log.state()
        self._lease = await self._outbox.begin_republish(lease=lease, log=state)
        self._telemetry.log_was_lost()


def is_lost(lease: Lease, state: LogState) -> bool:
    """Return whether the log was replaced, or has fewer messages than it acknowledged."""
    if lease.log_incarnation is None:
        return False
    return state.incarnation != lease.log_incarnation or state.count < lease.published_count
