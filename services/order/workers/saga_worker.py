"""The saga worker of every order process: it settles orders that their requests left unsettled."""

import asyncio
from collections.abc import Awaitable, Callable

from observability.telemetry.telemetry import Telemetry
from services.infra import deadline
from services.infra.backoff import full_jitter_seconds
from services.kernel.errors import CircuitOpen, ErrorKind, ServiceError
from services.order.adapters.sagas import PostgresSagas, SagaBacklog
from services.order.application.ports import CheckInventory, Saga
from services.order.domain.order import Order

# One database connection each: a saga settles with one statement at a time.
BATCH_SIZE = 8
POLL_SECONDS = 0.25
# Errors that every further attempt would meet again.
FINAL_KINDS = frozenset({ErrorKind.INVALID, ErrorKind.REUSED, ErrorKind.NOT_FOUND, ErrorKind.PRECONDITION})
# Consumer label of its dead letters.
SAGA_WORKER = "saga_worker"
END_STATES = ("CONFIRMED", "REJECTED", "CANCELLED")


class SagaWorker:
    """Claims sagas of one server of orders, `shard`, that are due and settles them, each within `attempt_seconds`.

    A saga that fails is retried after a back-off, without a limit: an accepted order is never abandoned. A saga whose
    error is final is parked as a dead letter, for a person to look at. None is claimed while the circuit breaker in
    front of inventory is open: attempts without a call would lengthen the back-off to many times the outage.
    """

    def __init__(
        self,
        *,
        sagas: PostgresSagas,
        finish: Callable[[Saga], Awaitable[Order]],
        check_inventory: CheckInventory,
        attempt_seconds: float,
        telemetry: Telemetry,
        shard: int = 0,
    ) -> None:
        self._sagas = sagas
        self._finish = finish
        self._check_inventory = check_inventory
        self._attempt_seconds = attempt_seconds
        self._telemetry = telemetry
        self._backlog = SagaBacklog(0, 0, 0.0)
        metrics, context = telemetry.metrics, telemetry.context
        metrics.sagas.read_from(lambda: float(self._backlog.count), context, str(shard))
        metrics.saga_oldest_age.read_from(lambda: self._backlog.oldest_age_seconds, context, str(shard))
        for state in END_STATES:
            metrics.saga_settled.add(0, context, state)
        metrics.dead_letters.add(0, context, SAGA_WORKER)

    async def step(self) -> float:
        """Settle one batch; return the seconds to wait before the next step."""
        self._backlog = await self._sagas.backlog()
        if not self._backlog.due:
            return POLL_SECONDS
        try:
            self._check_inventory()
        except CircuitOpen:
            return POLL_SECONDS
        due = await self._sagas.claim(BATCH_SIZE)
        await asyncio.gather(*(self._attempt(saga) for saga in due))
        return 0.0

    async def _attempt(self, saga: Saga) -> None:
        try:
            with deadline.within(self._attempt_seconds):
                order = await self._finish(saga)
        except ServiceError as error:  # the use case has recorded it
            if error.kind in FINAL_KINDS:
                await self._park(saga, error)
            else:
                await self._sagas.postpone(saga, full_jitter_seconds(saga.attempts))
        else:
            self._telemetry.metrics.saga_settled.add(1, self._telemetry.context, order.state.value)

    async def _park(self, saga: Saga, error: ServiceError) -> None:
        if await self._sagas.park(saga, reason=error.reason):
            telemetry = self._telemetry
            telemetry.metrics.dead_letters.add(1, telemetry.context, SAGA_WORKER)
            telemetry.log.error(
                "order.saga_parked", order_id=str(saga.order_id), attempts=saga.attempts, error_type=error.reason
            )
