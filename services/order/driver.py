"""Who finishes an order that its request did not? The saga driver, a worker of every order process."""

import asyncio
from collections.abc import Awaitable, Callable

from observability.telemetry.telemetry import Telemetry
from services.infra import deadline
from services.infra.backoff import full_jitter_seconds
from services.kernel.errors import ServiceError
from services.order.adapters.sagas import PostgresSagas, SagaBacklog
from services.order.application.ports import Saga
from services.order.domain.order import Order

# As many as the database has connections for: each settles with one statement at a time.
BATCH_SIZE = 8
POLL_SECONDS = 0.25
ENDS = ("CONFIRMED", "REJECTED", "CANCELLED")


class SagaDriver:
    """Takes sagas that are due and settles them, each within `attempt_seconds`.

    One that fails is due again after a back-off, for ever: an accepted order is not given up.
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
        except ServiceError:  # it has recorded that itself
            await self._sagas.postpone(saga, full_jitter_seconds(saga.attempts))
        else:
            self._telemetry.metrics.saga_settled.add(1, self._telemetry.context, order.state.value)
