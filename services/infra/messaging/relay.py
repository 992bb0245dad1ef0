"""Who carries events from the outbox to the log? One relay a database, in order, fenced when it was away too long.

A relay that is paused holds a stale batch when it wakes. Its lease has gone to another with a higher epoch, and the log
refuses what comes with the lower one.
"""

from time import monotonic
from uuid import uuid4

from observability.telemetry.messaging import RelayTelemetry
from services.infra.crash_points import crash_points
from services.infra.messaging.log import EventLog, Fenced
from services.infra.messaging.message import LogState
from services.infra.messaging.outbox import Lease, Outbox, Unpublished

BATCH_SIZE = 500
LEASE_SECONDS = 5.0
POLL_SECONDS = 0.2
RECONCILE_SECONDS = 5.0


class Relay:
    """One candidate; `step` is a worker's step. The lease is renewed at half its time."""

    def __init__(
        self, *, outbox: Outbox, log: EventLog, telemetry: RelayTelemetry, lease_seconds: float = LEASE_SECONDS
    ) -> None:
        self._outbox = outbox
        self._log = log
        self._telemetry = telemetry
        self._lease_seconds = lease_seconds
        self._holder = str(uuid4())
        self._lease: Lease | None = None
        self._renew_at = 0.0
        self._reconcile_at = 0.0

    async def step(self) -> float:
        """Publish one batch as the leader; return the seconds to wait before the next step."""
        try:
            lease = await self._lead()
            if lease is None:
                return self._lease_seconds / 2
            if monotonic() >= self._reconcile_at:
                await self._reconcile(lease, await self._log.state())
            waiting = await self._outbox.unpublished(BATCH_SIZE)
            if waiting:
                await self._publish(lease, waiting)
            self._telemetry.backlog(*await self._outbox.backlog())
        except Fenced:
            self._resign()
            return self._lease_seconds / 2
        return 0.0 if waiting else POLL_SECONDS

    async def give_up(self) -> None:
        """Let another relay begin at once."""
        if self._lease is not None:
            self._resign()
            await self._outbox.give_up_lease(self._holder)

    async def _lead(self) -> Lease | None:
        if self._lease is None or monotonic() >= self._renew_at:
            before, began = self._lease, monotonic()
            self._lease = await self._outbox.take_lease(self._holder, self._lease_seconds)
            self._renew_at = began + self._lease_seconds / 2
            if self._lease and (before is None or before.epoch != self._lease.epoch):
                self._reconcile_at = 0.0
            self._telemetry.leads(self._lease is not None, self._lease.epoch if self._lease else 0)
        return self._lease

    def _resign(self) -> None:
        self._lease = None
        self._telemetry.fenced()

    async def _publish(self, lease: Lease, waiting: list[Unpublished]) -> None:
        crash_points.reached("relay.before_append")
        state = await self._log.append([event.message for event in waiting], epoch=lease.epoch)
        crash_points.reached("relay.after_append")
        if state.incarnation != (lease.log_incarnation or state.incarnation):
            await self._reconcile(lease, state)
            return
        await self._outbox.mark_published([event.outbox_id for event in waiting], epoch=lease.epoch, log=state)
        self._lease = Lease(lease.epoch, state.incarnation, lease.published_count + len(waiting))
        self._telemetry.published(len(waiting))

    async def _reconcile(self, lease: Lease, state: LogState) -> None:
        """Publish everything again when the log is another one, or has lost some of what it acknowledged."""
        self._reconcile_at = monotonic() + RECONCILE_SECONDS
        if lease.log_incarnation is None:
            return
        lost = state.incarnation != lease.log_incarnation or state.count < lease.published_count
        if not lost:
            return
        if state.incarnation == lease.log_incarnation:
            await self._log.reset()
            state = await self._log.state()
        self._telemetry.log_was_lost(await self._outbox.publish_all_again(epoch=lease.epoch, log=state))
        self._lease = Lease(lease.epoch, state.incarnation, 0)
