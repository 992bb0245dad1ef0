"""Every row of the error table is raised for real, and is the same error in process and over gRPC."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from http import HTTPStatus
from uuid import UUID, uuid4

import asyncpg
import grpc
import pytest

from services.edge.problems import STATUSES
from services.infra import deadline
from services.infra.rpc.errors import CODES
from services.kernel.errors import (
    DeadlineExceeded,
    IdempotencyInProgress,
    Internal,
    InvalidField,
    Overloaded,
    RequestIdReused,
    ServiceError,
    Unavailable,
)
from services.order.api import (
    CancelOrder,
    GetOrder,
    ListOrders,
    OrderLine,
    OrderNotFound,
    OutOfStock,
    PlaceOrder,
    Shortage,
    VersionConflict,
)
from tests.contract.shop import POOL_SIZE, Mode, Shop, holding, place, request_id, stock, waits
from tests.full import in_full
from tests.patience import PATIENCE_SECONDS
from tests.postgres import CLEANING

SHORT_SECONDS = 0.3
Situation = Callable[[Shop], Awaitable[tuple[ServiceError, ServiceError]]]
CLAIM = """
    INSERT INTO idempotency_keys (scope, request_id, digest, resource_id, logical_shard)
    VALUES ($1, $2, '', '00000000-0000-0000-0000-000000000000', get_byte(sha256(uuid_send($1::text::uuid)), 0))"""
NEXT_EVENT = """
    INSERT INTO events (stream_id, version, type, schema_version, data, meta, occur_time, logical_shard)
    SELECT order_id, $2, 'order.cancelled', 1, '{}', '{}', now(), logical_shard FROM orders WHERE order_id = $1"""


@pytest.fixture(params=["in_process", "grpc", *in_full("sharded")])
def mode(request: pytest.FixtureRequest) -> Mode:
    """Return the mode of calling."""
    found: Mode = request.param
    return found


async def error_of(call: Awaitable[object]) -> ServiceError:
    """Return the error that a call raises."""
    with pytest.raises(ServiceError) as caught:
        await call
    return caught.value


async def malformed_field(shop: Shop) -> tuple[ServiceError, ServiceError]:
    """List with a page token that ListOrders never returned."""
    error = await error_of(shop.orders.list_orders(ListOrders(uuid4(), 20, "no token")))
    return error, InvalidField("page_token", "INVALID_PAGE_TOKEN", "is not a token that ListOrders returned")


async def unknown_id(shop: Shop) -> tuple[ServiceError, ServiceError]:
    """Read an order that does not exist."""
    order_id = uuid4()
    return await error_of(shop.orders.get_order(GetOrder(uuid4(), order_id))), OrderNotFound(order_id)


async def not_enough_stock(shop: Shop) -> tuple[ServiceError, ServiceError]:
    """Order more units than there are."""
    await stock(shop, A=1)
    error = await error_of(shop.orders.place_order(place(A=2)))
    assert isinstance(error, OutOfStock)
    return error, OutOfStock(error.order_id, (Shortage("A", 2, 1),))


async def optimistic_lock_lost(shop: Shop) -> tuple[ServiceError, ServiceError]:
    """Let another event take the version of a cancellation, without a change of the order's row."""
    await stock(shop, A=1)
    command = place(shop.customer(), A=1)
    order = await shop.orders.place_order(command)
    cancel = CancelOrder(request_id(), command.customer_id, order.order_id)
    async with holding(shop.order_dsn, NEXT_EVENT, order.order_id, order.version + 1) as other:
        cancelling = asyncio.create_task(error_of(shop.orders.cancel_order(cancel)))
        await lock_awaited(other)
    return await cancelling, VersionConflict(order.order_id)


async def lock_awaited(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Return when another backend waits for what this transaction locks."""
    # Without the stats cache, which a transaction keeps, a later look would show the same.
    waits = "SELECT pg_stat_clear_snapshot() IS NULL, count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    async with asyncio.timeout(PATIENCE_SECONDS):
        # A database says nothing by itself: it must be asked.
        while not (row := await connection.fetchrow(waits)) or not row["count"]:
            await asyncio.sleep(0.01)


async def same_key_in_progress(shop: Shop) -> tuple[ServiceError, ServiceError]:
    """Repeat a key whose first call does not commit within lock_timeout."""
    command = place(shop.customer(), A=1)
    async with holding(shop.order_dsn, CLAIM, str(command.customer_id), command.request_id):
        with waits(SHORT_SECONDS):
            return await error_of(shop.orders.place_order(command)), IdempotencyInProgress()


async def key_reused_with_another_body(shop: Shop) -> tuple[ServiceError, ServiceError]:
    """Repeat a key with another quantity."""
    await stock(shop, A=5)
    command = place(shop.customer(), A=1)
    await shop.orders.place_order(command)
    other: PlaceOrder = replace(command, lines=(OrderLine("A", 2),))
    return await error_of(shop.orders.place_order(other)), RequestIdReused()


async def overload(shop: Shop) -> tuple[ServiceError, ServiceError]:
    """Hold every connection of the pool for longer than a caller waits."""
    async with AsyncExitStack() as stack:
        for _ in range(POOL_SIZE):
            await stack.enter_async_context(shop.order_database.transaction("test"))
        with waits(SHORT_SECONDS):
            return await error_of(shop.orders.get_order(GetOrder(shop.customer(), uuid4()))), Overloaded(1.0)


async def dependency_down(shop: Shop) -> tuple[ServiceError, ServiceError]:
    """Call while the database refuses connections and has closed the open ones."""
    async with closed_to_others(shop.order_dsn):
        return await error_of(shop.orders.get_order(GetOrder(shop.customer(), uuid4()))), Unavailable(1.0)


@asynccontextmanager
async def closed_to_others(dsn: str) -> AsyncIterator[None]:
    """Refuse new connections to a database, and close the open ones, during a with block."""
    connection = await asyncpg.connect(dsn)
    name = await connection.fetchval("SELECT current_database()")
    try:
        await connection.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT 0')
        await connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()"
            f" AND application_name <> '{CLEANING}'"
        )
        yield
    finally:
        await connection.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT -1')
        await connection.close()


async def out_of_time(shop: Shop) -> tuple[ServiceError, ServiceError]:
    """Let the deadline pass while a statement waits."""
    command = place(shop.customer(), A=1)
    async with holding(shop.order_dsn, CLAIM, str(command.customer_id), command.request_id):
        with deadline.within(0.5):
            return await error_of(shop.orders.place_order(command)), DeadlineExceeded()


async def bug(shop: Shop) -> tuple[ServiceError, ServiceError]:
    """Read from a missing table: an unexpected error, which only its id identifies."""
    connection = await asyncpg.connect(shop.order_dsn)
    try:
        await connection.execute("ALTER TABLE orders RENAME TO orders_away")
        error = await error_of(shop.orders.get_order(GetOrder(shop.customer(), uuid4())))
    finally:
        await connection.execute("ALTER TABLE orders_away RENAME TO orders")
        await connection.close()
    assert isinstance(error, Internal)
    return error, Internal(str(UUID(error.error_id)))


TABLE: list[tuple[Situation, grpc.StatusCode, HTTPStatus]] = [
    (malformed_field, grpc.StatusCode.INVALID_ARGUMENT, HTTPStatus.BAD_REQUEST),
    (unknown_id, grpc.StatusCode.NOT_FOUND, HTTPStatus.NOT_FOUND),
    (not_enough_stock, grpc.StatusCode.FAILED_PRECONDITION, HTTPStatus.CONFLICT),
    (optimistic_lock_lost, grpc.StatusCode.ABORTED, HTTPStatus.CONFLICT),
    (same_key_in_progress, grpc.StatusCode.ABORTED, HTTPStatus.CONFLICT),
    (key_reused_with_another_body, grpc.StatusCode.INVALID_ARGUMENT, HTTPStatus.UNPROCESSABLE_ENTITY),
    (overload, grpc.StatusCode.RESOURCE_EXHAUSTED, HTTPStatus.SERVICE_UNAVAILABLE),
    (dependency_down, grpc.StatusCode.UNAVAILABLE, HTTPStatus.SERVICE_UNAVAILABLE),
    (out_of_time, grpc.StatusCode.DEADLINE_EXCEEDED, HTTPStatus.GATEWAY_TIMEOUT),
    (bug, grpc.StatusCode.INTERNAL, HTTPStatus.INTERNAL_SERVER_ERROR),
]


@pytest.mark.parametrize(("situation", "code", "status"), TABLE, ids=[row[0].__name__ for row in TABLE])
async def test_each_row_of_the_error_table(
    shop: Shop, situation: Situation, code: grpc.StatusCode, status: HTTPStatus
) -> None:
    """The error has its type, all its data, and its status over REST and gRPC."""
    error, expected = await situation(shop)
    assert error == expected
    assert (CODES[error.kind], STATUSES[error.kind]) == (code, status)


def test_the_table_raises_every_kind_of_error() -> None:
    """No kind has a status that nothing here reaches."""
    assert {code for _, code, _ in TABLE} == set(CODES.values())
