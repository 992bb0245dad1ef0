"""Inventory of the stock parts, a gRPC service: `python -m observability.bench.stock_parts.inventory serve`."""

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from typing import Any
from uuid import UUID

import grpc
from google.type.money_pb2 import Money
from shop.inventory.v1 import inventory_service_pb2 as pb
from shop.inventory.v1.inventory_service_pb2_grpc import (
    InventoryServiceServicer,
    add_InventoryServiceServicer_to_server,
)
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from observability.bench.stock_parts import telemetry
from observability.bench.stock_parts.models import (
    ItemRow,
    ReservationLineRow,
    ReservationRow,
    Sessions,
    open_engine,
    open_sessions,
)
from observability.bench.stock_parts.settings import StockFault, StockSettings
from observability.experiments.cpu_bound import ROUNDS, Sign, signing_with_new_key

CURRENCY = "GBP"
GRACE_SECONDS = 5.0

Context = grpc.aio.ServicerContext[Any, Any]


class OutOfStock(Exception):
    """An item has fewer units than a reservation asks for."""


class Inventory(InventoryServiceServicer):
    """Reserves and sells stock, and answers what is available; the platform's other calls are not implemented."""

    def __init__(self, sessions: Sessions, fault: StockFault) -> None:
        self._sessions = sessions
        self._fault = fault
        self._sign: Sign | None = signing_with_new_key(ROUNDS["many"]) if fault is StockFault.CPU_BOUND else None
        self._lock = asyncio.Lock() if fault is StockFault.SERIAL_RESOURCE else nullcontext()

    async def CheckAvailability(  # noqa: N802  # named by gRPC
        self, request: pb.CheckAvailabilityRequest, context: Context
    ) -> pb.CheckAvailabilityResponse:
        """Return the lines that could not be reserved now."""
        async with self._sessions() as session:
            items = await read_items(session, [line.sku for line in request.lines])
        available = {item.sku: item.on_hand - item.reserved for item in items}
        shortages = [
            pb.Shortage(sku=line.sku, requested=line.quantity, available=available.get(line.sku, 0))
            for line in request.lines
            if available.get(line.sku, 0) < line.quantity
        ]
        return pb.CheckAvailabilityResponse(shortages=shortages)

    async def ReserveStock(  # noqa: N802
        self, request: pb.ReserveStockRequest, context: Context
    ) -> pb.ReserveStockResponse:
        """Reserve all lines or none; a repeat returns the reservation that is there."""
        reservation_id = UUID(request.reservation_id)
        try:
            async with self._transaction() as session:
                reservation = await session.get(ReservationRow, reservation_id)
                if reservation is None:
                    reservation = await self._reserve(session, reservation_id, request.lines)
                lines = await read_lines(session, reservation_id)
        except OutOfStock as error:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        if self._sign is not None:
            self._sign(reservation_id)
        return pb.ReserveStockResponse(reservation=to_proto(reservation, lines))

    async def ConfirmReservation(  # noqa: N802
        self, request: pb.ConfirmReservationRequest, context: Context
    ) -> pb.ConfirmReservationResponse:
        """Sell what the reservation holds; a repeat changes nothing."""
        async with self._transaction() as session:
            reservation = await session.get(ReservationRow, UUID(request.reservation_id), with_for_update=True)
            if reservation is None:
                await context.abort(grpc.StatusCode.NOT_FOUND, "there is no such reservation")
            lines = await read_lines(session, reservation.id)
            if reservation.state == "PENDING":
                reservation.state = "CONFIRMED"
                items = await self._lock_items(session, [line.sku for line in lines])
                for line in lines:
                    items[line.sku].on_hand -= line.quantity
                    items[line.sku].reserved -= line.quantity
        return pb.ConfirmReservationResponse(reservation=to_proto(reservation, lines))

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncSession]:
        async with self._lock, self._sessions.begin() as session:
            yield session

    async def _reserve(
        self, session: AsyncSession, reservation_id: UUID, lines: Sequence[pb.StockLine]
    ) -> ReservationRow:
        items = await self._lock_items(session, [line.sku for line in lines])
        for number, line in enumerate(lines, start=1):
            item = items.get(line.sku)
            if item is None or item.on_hand - item.reserved < line.quantity:
                raise OutOfStock(f"there are not enough units of {line.sku}")
            item.reserved += line.quantity
            session.add(
                ReservationLineRow(
                    reservation_id=reservation_id,
                    line_number=number,
                    sku=line.sku,
                    quantity=line.quantity,
                    unit_price_minor=item.unit_price_minor,
                )
            )
        reservation = ReservationRow(id=reservation_id, state="PENDING")
        session.add(reservation)
        if self._fault is StockFault.SLOW_CALL:
            await session.execute(select(func.stock_parts.hash_of_code(reservation_id.hex)))
        await session.flush()
        return reservation

    async def _lock_items(self, session: AsyncSession, skus: list[str]) -> dict[str, ItemRow]:
        """Lock the items in order of SKU, so that two reservations cannot deadlock."""
        if self._fault is StockFault.N_PLUS_ONE:
            found = [await session.get(ItemRow, sku, with_for_update=True) for sku in sorted(skus)]
            return {item.sku: item for item in found if item is not None}
        rows = await session.scalars(
            select(ItemRow).where(ItemRow.sku.in_(skus)).order_by(ItemRow.sku).with_for_update()
        )
        return {item.sku: item for item in rows}


async def read_items(session: AsyncSession, skus: list[str]) -> Sequence[ItemRow]:
    """Return the items without a lock."""
    return (await session.scalars(select(ItemRow).where(ItemRow.sku.in_(skus)))).all()


async def read_lines(session: AsyncSession, reservation_id: UUID) -> Sequence[ReservationLineRow]:
    """Return the lines of a reservation in their order."""
    lines = select(ReservationLineRow).where(ReservationLineRow.reservation_id == reservation_id)
    return (await session.scalars(lines.order_by(ReservationLineRow.line_number))).all()


def to_proto(reservation: ReservationRow, lines: Sequence[ReservationLineRow]) -> pb.Reservation:
    """Return the message of a reservation."""
    return pb.Reservation(
        reservation_id=str(reservation.id),
        state=pb.ReservationState.Value(f"RESERVATION_STATE_{reservation.state}"),
        lines=[
            pb.ReservedLine(sku=line.sku, quantity=line.quantity, unit_price=money(line.unit_price_minor))
            for line in lines
        ],
    )


def money(minor_units: int) -> Money:
    """Return an amount of hundredths."""
    return Money(currency_code=CURRENCY, units=minor_units // 100, nanos=minor_units % 100 * 10_000_000)


async def serve(settings: StockSettings) -> None:
    """Serve until SIGTERM."""
    provider = telemetry.set_up(settings.service_name)
    engine = open_engine(settings.database_dsn.get_secret_value(), pool_size=settings.pool_size)
    telemetry.observe_engine(engine)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    server = grpc.aio.server()
    servicer = Inventory(open_sessions(engine), settings.fault)  # type: ignore[abstract]  # the others answer UNIMPLEMENTED
    add_InventoryServiceServicer_to_server(servicer, server)
    server.add_insecure_port(f"127.0.0.1:{settings.port}")
    await server.start()
    await stopping.wait()
    await server.stop(GRACE_SECONDS)
    await engine.dispose()
    provider.shutdown()


if __name__ == "__main__":
    asyncio.run(serve(StockSettings()))  # type: ignore[call-arg]  # pydantic reads the environment
