"""Order of the stock parts, a FastAPI application: `python -m observability.bench.stock_parts.order serve`."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Annotated
from uuid import UUID, uuid4

import grpc
import uvicorn
from fastapi import FastAPI, Header
from fastapi.responses import JSONResponse
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from pydantic import BaseModel, Field
from shop.inventory.v1 import inventory_service_pb2 as pb
from shop.inventory.v1.inventory_service_pb2_grpc import InventoryServiceStub
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from observability.bench.stock_parts import telemetry
from observability.bench.stock_parts.models import (
    OrderLineRow,
    OrderRow,
    PointsRow,
    Sessions,
    open_engine,
    open_sessions,
)
from observability.bench.stock_parts.settings import StockFault, StockSettings
from observability.experiments.blocking_call import AuditEntry, BlockingAudit, BlockingClient

if TYPE_CHECKING:
    from shop.inventory.v1.inventory_service_pb2_grpc import InventoryServiceAsyncStub

CALL_SECONDS = 5.0
# Of the worker pool that reserves stock, where it is the bottleneck.
WORKERS = 2


class Line(BaseModel):
    """An ordered quantity of one SKU."""

    sku: str = Field(max_length=64)
    quantity: int = Field(ge=1, le=10_000)


class BasketBody(BaseModel):
    """The body of an order."""

    lines: list[Line] = Field(min_length=1, max_length=1_500)


class StockOrders:
    """Places orders: stores each, reserves its stock, and confirms the sale."""

    def __init__(self, sessions: Sessions, inventory: "InventoryServiceAsyncStub", settings: StockSettings) -> None:
        self._sessions = sessions
        self._inventory = inventory
        self._fault = settings.fault
        limited = self._fault is StockFault.CONCURRENCY_LIMIT
        self._workers: AbstractAsyncContextManager[None] = asyncio.Semaphore(WORKERS) if limited else nullcontext()
        self._audit: Callable[[OrderRow], None] = lambda _order: None
        if self._fault is StockFault.BLOCKING_CALL:
            audit = BlockingAudit(BlockingClient(settings.database_dsn.get_secret_value()))
            self._audit = lambda order: audit.record(
                AuditEntry(order.id, line.sku, line.quantity) for line in order.lines
            )

    async def place(self, body: BasketBody, *, customer_id: UUID, request_id: str) -> OrderRow:
        """Return the order at its end, or the one that came first with the same key."""
        order = await self._store(body, customer_id, f"{customer_id}:{request_id}")
        if order.state != "PENDING":
            return order
        lines = [pb.StockLine(sku=line.sku, quantity=line.quantity) for line in order.lines]
        if self._fault is StockFault.CHATTY_RPC:
            for line in lines:
                await self._inventory.CheckAvailability(pb.CheckAvailabilityRequest(lines=[line]), timeout=CALL_SECONDS)
        reserve = pb.ReserveStockRequest(request_id=f"{order.id}:reserve", reservation_id=str(order.id), lines=lines)
        try:
            async with self._workers:
                answer = await self._inventory.ReserveStock(reserve, timeout=CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:
                raise
            return await self._end(order, "REJECTED", {})
        confirm = pb.ConfirmReservationRequest(request_id=f"{order.id}:confirm", reservation_id=str(order.id))
        await self._inventory.ConfirmReservation(confirm, timeout=CALL_SECONDS)
        prices = {
            line.sku: line.unit_price.units * 100 + line.unit_price.nanos // 10_000_000
            for line in answer.reservation.lines
        }
        sold = await self._end(order, "CONFIRMED", prices)
        self._audit(sold)
        if self._fault is StockFault.PAYLOAD:
            await self._points(customer_id)
        return sold

    async def _store(self, body: BasketBody, customer_id: UUID, request_id: str) -> OrderRow:
        order = OrderRow(id=uuid4(), customer_id=customer_id, request_id=request_id, state="PENDING", total_minor=0)
        order.lines = [
            OrderLineRow(line_number=number, sku=line.sku, quantity=line.quantity)
            for number, line in enumerate(body.lines, start=1)
        ]
        try:
            async with self._sessions.begin() as session:
                session.add(order)
        except IntegrityError:
            async with self._sessions() as session:
                return (await session.scalars(select(OrderRow).where(OrderRow.request_id == request_id))).one()
        return order

    async def _points(self, customer_id: UUID) -> int:
        """Return the sum of a customer's points, added up here."""
        async with self._sessions() as session:
            every = select(PointsRow.customer_id, PointsRow.entry, PointsRow.amount)
            entries = await session.execute(every.where(PointsRow.customer_id == customer_id))
            return sum(entry.amount for entry in entries)

    async def _end(self, order: OrderRow, state: str, prices: dict[str, int]) -> OrderRow:
        async with self._sessions.begin() as session:
            stored = (await session.scalars(select(OrderRow).where(OrderRow.id == order.id))).one()
            stored.state = state
            stored.total_minor = sum(prices.get(line.sku, 0) * line.quantity for line in stored.lines)
            for line in stored.lines:
                line.unit_price_minor = prices.get(line.sku)
        return stored


def application(settings: StockSettings) -> FastAPI:
    """Return the application; its connections open when it starts."""
    provider = telemetry.set_up(settings.service_name)
    engine = open_engine(settings.database_dsn.get_secret_value(), pool_size=settings.pool_size)
    telemetry.observe_engine(engine)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with grpc.aio.insecure_channel(settings.inventory_target) as channel:
            app.state.orders = StockOrders(open_sessions(engine), InventoryServiceStub(channel), settings)
            yield
        await engine.dispose()
        provider.shutdown()

    app = FastAPI(lifespan=lifespan)

    @app.post("/orders")
    async def place_order(
        body: BasketBody, x_customer_id: Annotated[UUID, Header()], idempotency_key: Annotated[str, Header()]
    ) -> JSONResponse:
        order = await app.state.orders.place(body, customer_id=x_customer_id, request_id=idempotency_key)
        content = {"order_id": str(order.id), "state": order.state, "total_minor": order.total_minor}
        if order.state == "REJECTED":
            return JSONResponse({**content, "reason": "OUT_OF_STOCK"}, status_code=409)
        return JSONResponse(content, status_code=201)

    FastAPIInstrumentor.instrument_app(app)
    return app


def main() -> None:
    """Serve until SIGTERM."""
    settings = StockSettings()  # type: ignore[call-arg]  # pydantic reads the environment
    uvicorn.run(application(settings), host="127.0.0.1", port=settings.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
