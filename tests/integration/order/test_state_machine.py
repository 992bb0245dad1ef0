"""The shop compared with a small model, while steps are cancelled, repeated, delayed, expired or lose data.

The model knows what was delivered and what each request was answered. Requests and workers are cut off at any of their
awaits; inventory's commands come again long after they had their effect; cursors go back; the log is lost.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import UUID

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from services.inventory import api as inventory_api
from services.kernel.errors import ServiceError
from services.order.api import CancelOrder, GetOrder, Order, OrderNotCancellable, OrderState, PlaceOrder
from tests.cancelling import is_cancelled_at
from tests.contract.shop import Shop, open_shop, place, request_id, stock
from tests.integration.order.conftest import assert_sound
from tests.postgres import PostgresServer, empty

SKUS = ("A", "B", "C")
WISHES = st.dictionaries(st.sampled_from(SKUS), st.integers(1, 4), min_size=1)
WAITS = st.integers(1, 60)
# What has been answered by then depends on the machine; what is drawn must not, or no failure can be played again.
WHICH = st.integers(0, 99)


class ShopMachine(RuleBasedStateMachine):
    """The real shop beside its model."""

    server: PostgresServer

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.delivered: Counter[str] = Counter()
        self.placed: dict[str, PlaceOrder] = {}
        self.answers: dict[str, UUID] = {}
        self.cancelled: set[str] = set()
        self.opening: AbstractAsyncContextManager[Shop]

    @initialize()
    def open(self) -> None:
        """Begin with an empty shop."""
        self.loop.run_until_complete(self._open())

    async def _open(self) -> None:
        for dsn in self.server.dsns.values():
            await empty(dsn)
        self.opening = open_shop("in_process", self.server.dsns)
        self.shop = await self.opening.__aenter__()
        await self._deliver("A", 5)

    async def _deliver(self, sku: str, quantity: int) -> None:
        await stock(self.shop, **{sku: quantity})
        self.delivered[sku] += quantity

    @rule(sku=st.sampled_from(SKUS), quantity=st.integers(1, 5))
    def deliver(self, sku: str, quantity: int) -> None:
        """Restock a SKU."""
        self.loop.run_until_complete(self._deliver(sku, quantity))

    @rule(wishes=WISHES)
    def place(self, wishes: dict[str, int]) -> None:
        """Place an order."""
        command = place(None, **wishes)
        self.placed[command.request_id] = command
        self.loop.run_until_complete(self._place(command))

    @rule(wishes=WISHES, wait=WAITS)
    def place_and_go_away(self, wishes: dict[str, int], wait: int) -> None:
        """Place an order, and cancel the request."""
        command = place(None, **wishes)
        self.placed[command.request_id] = command
        self.loop.run_until_complete(is_cancelled_at(wait, self._place(command)))

    @rule(which=WHICH)
    def place_again(self, which: int) -> None:
        """Repeat a request."""
        if self.placed:
            self.loop.run_until_complete(self._place(self.placed[one_of(self.placed, which)]))

    @rule(which=WHICH, wait=WAITS | st.none())
    def cancel(self, which: int, wait: int | None) -> None:
        """Cancel an order; the request may be cancelled, too."""
        if self.answers:
            cancelling = self._cancel(self.placed[one_of(self.answers, which)])
            self.loop.run_until_complete(is_cancelled_at(wait, cancelling) if wait else cancelling)

    @rule(which=WHICH, step=st.sampled_from(("reserve", "confirm", "release_late", "return")))
    def say_it_again_to_inventory(self, which: int, step: str) -> None:
        """Repeat a command of a settled order to inventory."""
        if self.answers:
            self.loop.run_until_complete(self._say_again(self.placed[one_of(self.answers, which)], step))

    @rule(
        wait=WAITS | st.none(), name=st.sampled_from(("saga_worker", "relay", "projection", "notification", "sending"))
    )
    def work(self, wait: int | None, name: str) -> None:
        """Run one step of a worker; it may be cancelled."""
        self.loop.run_until_complete(self._work(name, wait))

    @rule()
    def time_passes(self) -> None:
        """Make every saga due and every reservation expired."""
        self.loop.run_until_complete(self._let_time_pass())

    @rule(database=st.sampled_from(("order_read", "notification")))
    def deliver_again(self, database: str) -> None:
        """Rewind a consumer to the beginning."""
        self.loop.run_until_complete(self._execute(database, "UPDATE consumer_cursors SET position = 0"))

    @rule()
    def lose_the_log(self) -> None:
        """Wipe the event log."""
        self.loop.run_until_complete(self.shop.log.reset())

    def teardown(self) -> None:
        """Come to rest; compare."""
        if hasattr(self, "shop"):
            self.loop.run_until_complete(self._end())
        self.loop.close()

    async def _end(self) -> None:
        try:
            await self._compare()
        finally:
            await self.opening.__aexit__(None, None, None)

    async def _compare(self) -> None:
        await assert_sound(self.shop)
        sold: Counter[str] = Counter()
        for request, order_id in self.answers.items():
            command = self.placed[request]
            order = await self.shop.orders.get_order(GetOrder(command.customer_id, order_id))
            assert order.state is not OrderState.PENDING
            if request in self.cancelled:
                assert order.state is OrderState.CANCELLED
            if order.state is OrderState.CONFIRMED:
                sold.update({line.sku: line.quantity for line in order.lines})
        unanswered = [command for request, command in self.placed.items() if request not in self.answers]
        for command in unanswered:
            placed = await self._place(command)
            if placed and placed.state is OrderState.CONFIRMED:
                sold.update({line.sku: line.quantity for line in placed.lines})
        for level in await self.shop.inventory.get_stock(inventory_api.GetStock(tuple(self.delivered))):
            assert (level.on_hand, level.reserved) == (self.delivered[level.sku] - sold[level.sku], 0)

    async def _place(self, command: PlaceOrder) -> Order | None:
        order = None
        try:
            order = await self.shop.orders.place_order(command)
            order_id = order.order_id
        except ServiceError as error:
            order_id = error.order_id  # type: ignore[attr-defined]  # every rejection names its order
        assert self.answers.setdefault(command.request_id, order_id) == order_id
        return order

    async def _cancel(self, command: PlaceOrder) -> None:
        order_id = self.answers[command.request_id]
        try:
            await self.shop.orders.cancel_order(CancelOrder(request_id(), command.customer_id, order_id))
        except OrderNotCancellable:
            return
        self.cancelled.add(command.request_id)

    async def _say_again(self, command: PlaceOrder, step: str) -> None:
        order_id, inventory = self.answers[command.request_id], self.shop.inventory
        order = await self.shop.orders.get_order(GetOrder(command.customer_id, order_id))
        if order.state is OrderState.PENDING or (order.state is OrderState.CONFIRMED and step == "return"):
            return  # its own steps are not over, or this would be no repeat
        lines = tuple(inventory_api.StockLine(line.sku, line.quantity) for line in command.lines)
        calls: dict[str, Any] = {
            "reserve": (inventory.reserve_stock, inventory_api.ReserveStock(f"{order_id}:reserve", order_id, lines)),
            "confirm": (
                inventory.confirm_reservation,
                inventory_api.ConfirmReservation(f"{order_id}:confirm", order_id),
            ),
            "release_late": (inventory.release_reservation, inventory_api.ReleaseReservation(request_id(), order_id)),
            "return": (inventory.return_stock, inventory_api.ReturnStock(f"{order_id}:return", order_id)),
        }
        call, again = calls[step]
        try:
            await call(again)
        except ServiceError:
            return  # refused, as it may be

    async def _work(self, name: str, wait: int | None) -> None:
        steps = {
            "saga_worker": self.shop.parts.servers[0].saga_worker.step,
            "relay": self.shop.parts.servers[0].relay.step,
            "projection": self.shop.parts.servers[0].consumer.step,
            "notification": self.shop.notification.consume[0],
            "sending": self.shop.notification.send,
        }

        async def step() -> None:
            await steps[name]()

        if wait:
            await is_cancelled_at(wait, step())
        else:
            await step()

    async def _let_time_pass(self) -> None:
        await self._execute("order", "UPDATE sagas SET due_time = now()")
        await self._execute("inventory", "UPDATE reservations SET expire_time = now() WHERE state = 'PENDING'")
        await self.shop.sweeper.step()
        await self.shop.parts.servers[0].saga_worker.step()

    async def _execute(self, database: str, statement: str) -> None:
        async with self.shop.databases[database].transaction("test") as transaction:
            await transaction.execute("UPDATE", statement)


def one_of(requests: Mapping[str, object], which: int) -> str:
    """Return one of the requests, by a number that may be any."""
    return list(requests)[which % len(requests)]


@pytest.mark.parametrize("lives", [3, pytest.param(50, marks=pytest.mark.full)])
def test_the_shop_agrees_with_its_model(postgres_server: PostgresServer, lives: int) -> None:
    """Lives of up to thirty steps each."""
    ShopMachine.server = postgres_server
    run_state_machine_as_test(
        ShopMachine,
        settings=settings(
            max_examples=lives, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
