"""Composition of the inventory context: its use cases, adapters and workers."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from observability.telemetry.cache import CacheTelemetry
from observability.telemetry.telemetry import Telemetry
from observability.telemetry.use_case import use_case
from services.infra.cache import Cache, Store
from services.infra.postgres import Database
from services.infra.readiness import Check
from services.infra.replicas import ReplicaOptions, Replicas, replica_workers
from services.infra.schema import schema_check
from services.infra.worker import Worker
from services.inventory.adapters.hint_codec import HintCodec
from services.inventory.adapters.postgres import PostgresStock
from services.inventory.api import StockHint
from services.inventory.application.commands.confirm_reservation import ConfirmReservationHandler
from services.inventory.application.commands.expire_reservation import ExpireReservationHandler
from services.inventory.application.commands.release_reservation import ReleaseReservationHandler
from services.inventory.application.commands.reserve_stock import ReserveStockHandler
from services.inventory.application.commands.restock import RestockHandler
from services.inventory.application.commands.return_stock import ReturnStockHandler
from services.inventory.application.inventory import InventoryApplication
from services.inventory.application.queries.check_availability import CheckAvailabilityHandler
from services.inventory.application.queries.get_stock import GetStockHandler
from services.inventory.application.queries.get_stock_hints import GetStockHintsHandler
from services.inventory.migrate import MIGRATIONS
from services.inventory.settings import InventorySettings
from services.inventory.workers.self_check import SelfCheck
from services.inventory.workers.sweeper import Sweeper
from services.kernel.errors import Internal

Command = TypeVar("Command")
Result = TypeVar("Result")

SWEEP_SECONDS = 1.0
HINT_LIFETIME_SECONDS = 10.0

# Makes the adapter from `database` and `reservation_ttl_seconds`; experiments pass one with a bottleneck.
StockAdapter = Callable[..., PostgresStock]


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryParts:
    """Parts of inventory in a process.

    application: answers calls.
    workers: background work, to be started by the process.
    sweeper: what its worker runs; tests call its step directly.
    """

    application: InventoryApplication
    workers: tuple[Worker, ...]
    sweeper: Sweeper


def hint_telemetry(telemetry: Telemetry) -> CacheTelemetry:
    """Return the telemetry of the cache of hints and of its store."""
    return CacheTelemetry(telemetry, "stock_hints")


def bootstrap_inventory(
    *,
    database: Database,
    telemetry: Telemetry,
    reservation_ttl_seconds: float,
    sweep_seconds: float = SWEEP_SECONDS,
    hint_store: Store | None = None,
    hint_lifetime_seconds: float = HINT_LIFETIME_SECONDS,
    stock_adapter: StockAdapter = PostgresStock,
    replicas: Replicas | None = None,
) -> InventoryParts:
    """Return inventory on a database, with a cache of hints if there is a store; every use case is observed.

    Hints, and nothing else, are read from `replicas`.
    """
    open_stock = partial(stock_adapter, reservation_ttl_seconds=reservation_ttl_seconds)
    stock = open_stock(database=database)

    async def read_hints(skus: tuple[str, ...]) -> Mapping[str, StockHint]:
        if replicas is None:
            return await stock.read_hints(skus)
        return await replicas.read(
            lambda replica: open_stock(database=replica).read_hints(skus),
            primary=partial(stock.read_hints, skus),
            may_wait=False,
        )

    hints = Cache(
        read_hints,
        store=hint_store,
        codec=HintCodec(),
        lifetime_seconds=hint_lifetime_seconds,
        telemetry=hint_telemetry(telemetry),
    )

    def observed(
        name: str, handler: Callable[[Command], Awaitable[Result]]
    ) -> Callable[[Command], Coroutine[Any, Any, Result]]:
        identity = ("shop.reservation.id", "reservation_id")
        return use_case(telemetry, name, handler, unexpected=Internal, identity=identity)

    application = InventoryApplication(
        check_availability=observed("check_availability", CheckAvailabilityHandler(stock=stock)),
        reserve_stock=observed("reserve_stock", ReserveStockHandler(stock=stock)),
        confirm_reservation=observed("confirm_reservation", ConfirmReservationHandler(stock=stock)),
        release_reservation=observed("release_reservation", ReleaseReservationHandler(stock=stock)),
        return_stock=observed("return_stock", ReturnStockHandler(stock=stock)),
        get_stock=observed("get_stock", GetStockHandler(stock=stock)),
        get_stock_hints=observed("get_stock_hints", GetStockHintsHandler(hints=hints)),
        restock=observed("restock", RestockHandler(stock=stock)),
    )
    expire = observed("expire_reservation", ExpireReservationHandler(stock=stock))
    sweeper = Sweeper(stock=stock, expire=expire, sweep_seconds=sweep_seconds, telemetry=telemetry)
    workers = (
        Worker("sweeper", sweeper.step, telemetry=telemetry),
        Worker("self-check", SelfCheck(stock=stock, telemetry=telemetry).step, telemetry=telemetry),
        *replica_workers(replicas, telemetry=telemetry),
    )
    return InventoryParts(application=application, workers=workers, sweeper=sweeper)


async def open_inventory(
    settings: InventorySettings,
    *,
    telemetry: Telemetry,
    stack: AsyncExitStack,
    stock_adapter: StockAdapter = PostgresStock,
) -> tuple[InventoryParts, Mapping[str, Check]]:
    """Connect to the database and the cache, which `stack` closes; return inventory and its readiness checks.

    The cache is no part of readiness: inventory works without it.
    """
    dsn = settings.database_dsn.get_secret_value()
    database = await Database.open(dsn, pool_size=settings.database_pool_size, telemetry=telemetry)
    stack.push_async_callback(database.close, timeout_seconds=settings.drain_grace_seconds)
    replicas = await Replicas.open(
        ReplicaOptions.of(settings, settings.replica_dsns),
        primary=database,
        telemetry=telemetry,
        stack=stack,
        close_seconds=settings.drain_grace_seconds,
    )
    hint_store = None
    if cache_url := settings.cache_url.get_secret_value():
        from services.infra.valkey_store import ValkeyStore  # noqa: PLC0415 - saves 0.1 s without a cache

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
        replicas=replicas,
    )
    return parts, {"inventory database": schema_check(database, MIGRATIONS)}
