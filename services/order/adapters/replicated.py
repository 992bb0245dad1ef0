"""Reads of orders from read replicas: an order or a list, not older than the version that the customer has seen."""

from collections.abc import Callable
from functools import partial
from uuid import UUID

from services.infra.postgres import Database
from services.infra.replicas import FallbackExhausted, Replicas
from services.order.adapters.shard_fences import ShardFenced
from services.order.adapters.summaries import PostgresSummaries
from services.order.api import ListOrders, OrderNotFound, OrderPage, ReadModelBehind
from services.order.application.ports import OrderReader, Orders
from services.order.consistency_token import OrderVersion
from services.order.domain.order import Order


class ReplicatedOrders:
    """Satisfies `ports.OrderReader`. `on_replica` returns the orders of a replica."""

    def __init__(self, *, primary: OrderReader, replicas: Replicas, on_replica: Callable[[Database], Orders]) -> None:
        self._primary = primary
        self._replicas = replicas
        self._on_replica = on_replica

    async def read(self, order_id: UUID, customer_id: UUID, *, version: int) -> Order:
        """Return the order; one that a replica does not have, or has in an older version, is read on the primary."""

        async def run(database: Database) -> Order | None:
            try:
                order = await self._on_replica(database).get(order_id, customer_id)
            except (OrderNotFound, ShardFenced):
                return None  # it may be told late of the order, and of a move in either direction
            return order if order.version >= version else None

        try:
            primary = partial(self._primary.read, order_id, customer_id, version=version)
            return await self._replicas.read(run, primary=primary, may_wait=version > 0)
        except FallbackExhausted as error:
            raise ReadModelBehind(error.retry_after_seconds) from error


class ReplicatedSummaries:
    """Satisfies `ports.Summaries`."""

    def __init__(self, *, primary: PostgresSummaries, replicas: Replicas) -> None:
        self._primary = primary
        self._replicas = replicas

    async def page(self, query: ListOrders) -> OrderPage:
        """Return a page as a replica has it."""
        try:
            return await self._replicas.read(
                lambda database: PostgresSummaries(database=database).page(query),
                primary=partial(self._primary.page, query),
                may_wait=False,
            )
        except FallbackExhausted as error:
            raise ReadModelBehind(error.retry_after_seconds) from error

    async def page_since(self, query: ListOrders, seen: OrderVersion) -> OrderPage:
        """Return a page that is recent enough, of a replica or of the primary, which is waited for longer."""
        try:
            return await self._replicas.read(
                lambda database: PostgresSummaries(database=database).find_page(query, seen),
                primary=partial(self._primary.page_since, query, seen),
                may_wait=True,
            )
        except FallbackExhausted as error:
            raise ReadModelBehind(error.retry_after_seconds) from error
