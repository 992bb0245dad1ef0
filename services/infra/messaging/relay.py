"""Who carries events from the outbox to the log? One relay a database, in order, fenced when it was away too long.

A relay that is paused holds a stale batch when it wakes. Its lease has gone to another with a higher epoch, and the log
refuses what comes with the lower one.
"""

from dataclasses import replace
from time import monotonic
from uuid import uuid4

from observability.telemetry.messaging import RelayTelemetry
from services.infra.crash_points import crash_points
from services.infra.messaging.log import EventLog, Fenced, Replaced
from services.infra.messaging.outbox import Lease, Outbox, Unpublished

BATCH_SIZE = 500
LEASE_SECONDS = 5.0
POLL_SECONDS = 0.1
RECONCILE_SECONDS = 5.0
MEASURE_SECONDS = 1.0


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
        self._measure_at = 0.0

    async def step(self) -> float:
        """Publish one batch as the leader; return the seconds to wait before the next step."""
        try:
            lease = await self._lead()
            if lease is None:
                return self._lease_seconds / 2
            if lease.log_incarnation is None or monotonic() >= self._reconcile_at:
                lease = await self._reconcile(lease)
            waiting = await self._outbox.unpublished(lease, BATCH_SIZE)
            if waiting:
                self._lease = await self._publish(lease, waiting)
            elif lease.republish_to is not None:
                self._lease = await self._outbox.end_republish(lease=lease)
                return 0.0
            await self._measure()
        except Replaced:
            self._reconcile_at = 0.0
            return 0.0
        except Fenced:
            self._resign()
            return self._lease_seconds / 2
        return 0.0 if waiting else POLL_SECONDS

    async def give_up(self) -> None:
        """Let another relay begin at once."""
        if self._lease is not None:
            self._lease = None
            self._telemetry.leads(leading=False, epoch=0)
            await self._outbox.give_up_lease(self._holder)

    async def _lead(self) -> Lease | None:
        if self._lease is None or monotonic() >= self._renew_at:
            before, began = self._lease, monotonic()
            self._lease = await self._outbox.take_lease(self._holder, self._lease_seconds)
            self._renew_at = began + self._lease_seconds / 2
            if self._lease and (before is None or before.epoch != self._lease.epoch):
                self._reconcile_at = 0.0
            self._telemetry.leads(leading=self._lease is not None, epoch=self._lease.epoch if self._lease else 0)
        return self._lease

    def _resign(self) -> None:
        self._lease = None
        self._telemetry.fenced()

    async def _publish(self, lease: Lease, waiting: list[Unpublished]) -> Lease:
        crash_points.reached("relay.before_append")
        messages = [event.message for event in waiting]
        state = await self._log.append(messages, epoch=lease.epoch, incarnation=lease.log_incarnation or "")
        crash_points.reached("relay.after_append")
        lease = await self._outbox.mark_published(waiting, lease=lease, log=state)
        self._telemetry.published(len(waiting))
        return lease

    async def _reconcile(self, lease: Lease) -> Lease:
        """Compare the log with what we published; publish all again when it is another one, or has lost a part."""
        self._reconcile_at = monotonic() + RECONCILE_SECONDS
        state = await self._log.state()
        if lease.log_incarnation is None:
            self._lease = replace(lease, log_incarnation=state.incarnation)
            return self._lease
        if state.incarnation == lease.log_incarnation:
            if state.count >= lease.published_count:
                return lease
            await self._log.reset(epoch=lease.epoch)
            state = await self._log.state()
        self._lease, events = await self._outbox.republish(lease=lease, log=state)
        self._telemetry.log_was_lost(events)
        return self._lease

    async def _measure(self) -> None:
        """Publish the gauges' values once a second: counting a deep outbox takes time."""
        if monotonic() >= self._measure_at:
            self._measure_at = monotonic() + MEASURE_SECONDS
            self._telemetry.backlog(*await self._outbox.backlog())
