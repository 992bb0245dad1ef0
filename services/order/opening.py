"""Opens orders in a process: their databases and the event log, which are closed with the stack."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial

from observability.telemetry.telemetry import Telemetry
from services.infra.messaging.open_log import open_log
from services.infra.postgres import Database
from services.infra.readiness import Check
from services.infra.schema import schema_check
from services.inventory.api import InventoryService
from services.order.adapters.postgres import PostgresOrders
from services.order.bootstrap import OrderParts, OrdersAdapter, bootstrap_order
from services.order.migrate import MIGRATIONS
from services.order.settings import OrderContextSettings


async def open_order(
    settings: OrderContextSettings,
    *,
    inventory: InventoryService,
    telemetry: Telemetry,
    stack: AsyncExitStack,
    orders_adapter: OrdersAdapter = PostgresOrders,
) -> tuple[OrderParts, Mapping[str, Check]]:
    """Return orders, and what must answer for them to be ready.

    The read model and the log may be away: orders are then still taken, and their events wait in the outbox.
    """
    open_database = partial(Database.open, telemetry=telemetry)
    database = await open_database(settings.database_dsn.get_secret_value(), pool_size=settings.database_pool_size)
    stack.push_async_callback(database.close, timeout_seconds=settings.drain_grace_seconds)
    read_database = await open_database(
        settings.read_database_dsn.get_secret_value(), pool_size=settings.read_database_pool_size, name="order_read"
    )
    stack.push_async_callback(read_database.close, timeout_seconds=settings.drain_grace_seconds)
    log = await open_log(
        settings.event_log_url.get_secret_value(),
        telemetry=telemetry,
        allow_unsafe_sync=settings.event_log_allow_unsafe_sync,
    )
    stack.push_async_callback(log.close)
    parts = bootstrap_order(
        database=database,
        read_database=read_database,
        log=log,
        inventory=inventory,
        telemetry=telemetry,
        grace_seconds=settings.saga_grace_seconds,
        orders_adapter=orders_adapter,
    )
    return parts, {"order database": schema_check(database, *MIGRATIONS)}
