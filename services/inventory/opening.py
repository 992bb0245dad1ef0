"""Opens inventory in a process: its database, which is closed with the stack."""

from collections.abc import Mapping
from contextlib import AsyncExitStack

from observability.telemetry.telemetry import Telemetry
from services.infra.postgres import Database
from services.infra.readiness import Check
from services.infra.schema import schema_check
from services.inventory.adapters.postgres import PostgresStock
from services.inventory.bootstrap import InventoryParts, StockAdapter, bootstrap_inventory, hint_telemetry
from services.inventory.migrate import MIGRATIONS
from services.inventory.settings import InventorySettings


async def open_inventory(
    settings: InventorySettings,
    *,
    telemetry: Telemetry,
    stack: AsyncExitStack,
    stock_adapter: StockAdapter = PostgresStock,
) -> tuple[InventoryParts, Mapping[str, Check]]:
    """Return inventory, and what must answer for it to be ready. The cache need not: it may be away at any time."""
    dsn = settings.database_dsn.get_secret_value()
    database = await Database.open(dsn, pool_size=settings.database_pool_size, telemetry=telemetry)
    stack.push_async_callback(database.close, timeout_seconds=settings.drain_grace_seconds)
    hint_store = None
    if cache_url := settings.cache_url.get_secret_value():
        from services.infra.valkey_store import ValkeyStore  # noqa: PLC0415 - 0.1 s that is for nothing without a cache

        hint_store = ValkeyStore.open(cache_url, telemetry=hint_telemetry(telemetry))
        stack.push_async_callback(hint_store.close)
    parts = bootstrap_inventory(
        database=database,
        telemetry=telemetry,
        reservation_ttl_seconds=settings.reservation_ttl_seconds,
        sweep_seconds=settings.sweep_seconds,
        hint_store=hint_store,
        hint_lifetime_seconds=settings.hint_lifetime_seconds,
        stock_adapter=stock_adapter,
    )
    return parts, {"inventory database": schema_check(database, MIGRATIONS)}
