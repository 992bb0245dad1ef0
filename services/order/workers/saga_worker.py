"""The saga driver: a worker of every order process, which finishes orders that their requests did not."""

import asyncio
from collections.abc import Awaitable, Callable

from observability.telemetry.telemetry import Telemetry
from services.infra import deadline
from services.infra.backoff import full_jitter_seconds
from services.kernel.errors import ErrorKind, ServiceError
from services.order.adapters.sagas import PostgresSagas, SagaBacklog
from services.order.application.ports import Saga
from services.order.domain.order import Order

# As many as the database has connections for: each settles with one statement at a time.
BATCH_SIZE = 8
POLL_SECONDS = 0.25
# What an attempt with the same content meets again, whenever it is made.
FINAL_KINDS = frozenset({ErrorKind.INVALID, ErrorKind.REUSED, ErrorKind.NOT_FOUND, ErrorKind.PRECONDITION})
# The label under which its dead letters are counted, beside the consumers'.
DRIVER = "saga_driver"
ENDS = ("CONFIRMED", "REJECTED", "CANCELLED")


class SagaWorker:
    """Takes sagas that are due and settles them, each within `attempt_seconds`.

    One that fails is due again after a back-off, for ever: an accepted order is not given up. One whose error cannot
    change is parked as a dead letter: a person is needed.
    """

    def __init__(
        self,
        *,
        sagas: PostgresSagas,
        finish: Callable[[Saga], Awaitable[Order]],
        attempt_seconds: float,
        telemetry: Telemetry,
    ) -> None:
        self._sagas = sagas
        self._finish = finish
        self._attempt_seconds = attempt_seconds
        self._telemetry = telemetry
        self._backlog = SagaBacklog(0, 0, 0.0)
        metrics, context = telemetry.metrics, telemetry.context
        metrics.sagas.read_from(lambda: float(self._backlog.count), context)
        metrics.saga_oldest_age.read_from(lambda: self._backlog.oldest_age_seconds, context)
        for end in ENDS:
            metrics.saga_settled.add(0, context, end)
        metrics.dead_letters.add(0, context, DRIVER)

    async def step(self) -> float:
        """Settle one batch; return the seconds to wait before the next step."""
        self._backlog = await self._sagas.backlog()
        if not self._backlog.due:
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
            telemetry.metrics.dead_letters.add(1, telemetry.context, DRIVER)
            telemetry.log.error(
                "order.saga_parked", order_id=str(saga.order_id), attempts=saga.attempts, error_type=error.reason
            )
