"""Composition of the order context: its use cases, adapters and workers."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from uuid import uuid4

import asyncpg

from observability.telemetry.messaging import ConsumerTelemetry, RelayTelemetry, sent
from observability.telemetry.shards import ShardTelemetry
from observability.telemetry.telemetry import Telemetry
from observability.telemetry.use_case import use_case
from services.infra.messaging.consumer import Consumer, Handle, cursor_name
from services.infra.messaging.log import EventLog
from services.infra.messaging.open_log import open_logs
from services.infra.messaging.outbox import Outbox
from services.infra.messaging.relay import Relay
from services.infra.postgres import Database
from services.infra.readiness import Check, any_of
from services.infra.replicas import ReplicaOptions, Replicas, replica_workers
from services.infra.schema import schema_check
from services.infra.worker import Worker
from services.inventory.api import InventoryService
from services.kernel.clock import utc_now
from services.kernel.errors import Internal
from services.order.adapters.event_store import EventStore
from services.order.adapters.fenced_orders import FencedOrders
from services.order.adapters.postgres import PostgresOrders
from services.order.adapters.replicated import ReplicatedOrders, ReplicatedSummaries
from services.order.adapters.sagas import PostgresSagas
from services.order.adapters.shard_fences import ShardFences
from services.order.adapters.shard_maps import PostgresShardMaps, check_servers
from services.order.adapters.shard_moves import PostgresShardMoves
from services.order.adapters.sharded_orders import ShardedOrders
from services.order.adapters.summaries import PostgresSummaries, project
from services.order.adapters.token_keys import PostgresTokenKeys
from services.order.application.commands.cancel_order import CancelOrderHandler
from services.order.application.commands.finish_order import FinishOrderHandler
from services.order.application.commands.place_order import PlaceOrderHandler
from services.order.application.orders import OrderApplication
from services.order.application.ports import OrderReader, Orders, Saga
from services.order.application.queries.get_order import GetOrderHandler
from services.order.application.queries.list_orders import ListOrdersHandler
from services.order.application.settle_order import SettleOrder
from services.order.consumers.order_summaries import CONSUMER, OrderEvents
from services.order.domain.logical_shard import order_id_of
from services.order.domain.shard_map import ALL_ON_FIRST, ShardMap
from services.order.migrate import MIGRATIONS
from services.order.settings import OrderContextSettings
from services.order.workers.event_messages import DESTINATION, message_of
from services.order.workers.saga_worker import SagaWorker
from services.order.workers.shard_watch import ShardWatch

Command = TypeVar("Command")
Result = TypeVar("Result")

GRACE_SECONDS = 5.0

# Makes the adapter from `database` and `event_store`; experiments pass one with a bottleneck.
OrdersAdapter = Callable[..., Orders]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderServer:
    """One server of orders: its database, and the event log that its events are published to."""

    database: Database
    log: EventLog


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerParts:
    """Background work on one server of orders; tests call the steps directly.

    relay: publishes its events.
    saga_worker: settles its orders.
    consumer: updates the read model from its event log.
    """

    relay: Relay
    saga_worker: SagaWorker
    consumer: Consumer

    def workers(self, telemetry: Telemetry, number: int) -> tuple[Worker, ...]:
        """Return the workers that take these steps on the server of this number."""
        name = partial(cursor_name, log=number)
        return (
            Worker(name("relay"), self.relay.step, telemetry=telemetry, at_end=self.relay.give_up),
            Worker(name("saga-worker"), self.saga_worker.step, telemetry=telemetry),
            Worker(name("order-summaries"), self.consumer.step, telemetry=telemetry),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderParts:
    """Parts of orders in a process.

    application: answers calls.
    workers: background work, to be started by the process.
    servers: what the workers run, for each server of orders.
    """

    application: OrderApplication
    workers: tuple[Worker, ...]
    servers: tuple[ServerParts, ...]


@dataclass(frozen=True, slots=True)
class OrderReplicas:
    """Read replicas of each server of orders and of the database of the lists, None without; only queries read them.

    `orders` may be empty, if no server of orders has replicas.
    """

    orders: Sequence[Replicas | None] = ()
    lists: Replicas | None = None


NO_REPLICAS = OrderReplicas()


def bootstrap_order(
    *,
    servers: Sequence[OrderServer],
    shard_map: ShardMap = ALL_ON_FIRST,
    read_database: Database,
    inventory: InventoryService,
    telemetry: Telemetry,
    grace_seconds: float = GRACE_SECONDS,
    orders_adapter: OrdersAdapter = PostgresOrders,
    replicas: OrderReplicas = NO_REPLICAS,
) -> OrderParts:
    """Return orders on one server or several, with an inventory in this process or another.

    Every use case is observed. A request has `grace_seconds` to settle its order before the saga worker takes over.
    """
    event_store = EventStore(
        sent=lambda event_type: sent(telemetry, destination=DESTINATION, event_type=event_type),
        grace_seconds=grace_seconds,
    )
    open_orders = partial(orders_adapter, event_store=event_store)
    orders, reader = route(servers, shard_map, replicas.orders, open_orders)
    summaries = PostgresSummaries(database=read_database)
    lists = ReplicatedSummaries(primary=summaries, replicas=replicas.lists) if replicas.lists else summaries
    settle = settle_order(orders, inventory, telemetry)
    tokens = PostgresTokenKeys(database=servers[0].database, clock=utc_now)
    place = PlaceOrderHandler(
        orders=orders,
        tokens=tokens,
        settle=settle,
        check_inventory=inventory.check,
        clock=utc_now,
        new_id=lambda customer_id: order_id_of(customer_id, uuid4()),
    )
    cancel = CancelOrderHandler(orders=orders, tokens=tokens, settle=settle, clock=utc_now)
    application = OrderApplication(
        place_order=observed(telemetry, "place_order", place),
        get_order=observed(telemetry, "get_order", GetOrderHandler(orders=reader, tokens=tokens)),
        cancel_order=observed(telemetry, "cancel_order", cancel),
        list_orders=observed(telemetry, "list_orders", ListOrdersHandler(summaries=lists, tokens=tokens)),
    )
    finish = FinishOrderHandler(orders=orders, settle=settle)
    parts = tuple(
        ServerParts(
            relay=open_relay(server, telemetry, number),
            saga_worker=SagaWorker(
                sagas=PostgresSagas(database=server.database, lease_seconds=2 * grace_seconds),
                finish=observed(telemetry, "finish_order", finish, origin=traceparent_of),
                check_inventory=inventory.check,
                attempt_seconds=grace_seconds,
                telemetry=telemetry,
                shard=number,
            ),
            consumer=projection(read_database, server.log, telemetry, number),
        )
        for number, server in enumerate(servers)
    )
    workers = [worker for number, each in enumerate(parts) for worker in each.workers(telemetry, number)]
    if len(servers) > 1:
        workers.append(Worker("shard-watch", shard_watch(servers, telemetry).step, telemetry=telemetry))
    workers += replica_workers(*replicas.orders, replicas.lists, telemetry=telemetry)
    return OrderParts(application=application, workers=tuple(workers), servers=parts)


def observed(
    telemetry: Telemetry,
    name: str,
    handler: Callable[[Command], Awaitable[Result]],
    *,
    origin: Callable[[Command], str] | None = None,
) -> Callable[[Command], Coroutine[Any, Any, Result]]:
    """Return a use case's handler with telemetry for every run."""
    identity = ("shop.order.id", "order_id")
    return use_case(telemetry, name, handler, unexpected=Internal, identity=identity, origin=origin)


def route(
    servers: Sequence[OrderServer],
    shard_map: ShardMap,
    replicas: Sequence[Replicas | None],
    open_orders: OrdersAdapter,
) -> tuple[Orders, OrderReader]:
    """Return the orders of all servers as one, and what queries read single orders with: replicas where there are."""

    def reader_of(orders: OrderReader, own: Replicas | None, open_orders: OrdersAdapter) -> OrderReader:
        if own is None:
            return orders
        return ReplicatedOrders(primary=orders, replicas=own, on_replica=lambda replica: open_orders(database=replica))

    own_replicas = replicas or [None] * len(servers)
    if len(servers) == 1:  # it needs no routing
        orders = open_orders(database=servers[0].database)
        return orders, reader_of(orders, own_replicas[0], open_orders)
    open_one = partial(open_orders, is_one_of_several=True)
    fenced = [
        FencedOrders(orders=open_one(database=server.database), fences=ShardFences(database=server.database))
        for server in servers
    ]
    sharded = ShardedOrders(
        servers=fenced,
        readers=[reader_of(each, own, open_one) for each, own in zip(fenced, own_replicas, strict=True)],
        maps=PostgresShardMaps(database=servers[0].database),
        shard_map=shard_map,
    )
    return sharded, sharded


def settle_order(orders: Orders, inventory: InventoryService, telemetry: Telemetry) -> SettleOrder:
    """Return the step that settles an order, which counts compensations."""
    context, compensations = telemetry.context, telemetry.metrics.saga_compensations
    compensations.add(0, context)
    return SettleOrder(
        orders=orders, inventory=inventory, clock=utc_now, compensated=lambda: compensations.add(1, context)
    )


def open_relay(server: OrderServer, telemetry: Telemetry, number: int) -> Relay:
    """Return the relay from the outbox of one server of orders to its event log."""
    relay_telemetry = RelayTelemetry(telemetry, shard=number)
    outbox = Outbox(database=server.database, to_message=message_of, on_unreadable=relay_telemetry.unreadable)
    return Relay(outbox=outbox, log=server.log, telemetry=relay_telemetry)


def shard_watch(servers: Sequence[OrderServer], telemetry: Telemetry) -> ShardWatch:
    """Return the watch of the logical shards on several servers."""
    return ShardWatch(
        maps=PostgresShardMaps(database=servers[0].database),
        moves=PostgresShardMoves(database=servers[0].database),
        fences=[ShardFences(database=server.database) for server in servers],
        telemetry=ShardTelemetry(telemetry, servers=len(servers)),
    )


def projection(read_database: Database, log: EventLog, telemetry: Telemetry, number: int) -> Consumer:
    """Return the consumer that updates the read model from the event log of one server of orders."""
    handle: Handle = OrderEvents(project=project)
    cursor = cursor_name(CONSUMER, number)
    return Consumer(
        CONSUMER,
        database=read_database,
        log=log,
        handle=handle,
        telemetry=ConsumerTelemetry(telemetry, consumer=cursor, destination=DESTINATION),
        cursor=cursor,
    )


async def read_shard_map(databases: Sequence[Database]) -> ShardMap:
    """Return the shard map. Raises BadSettings when it does not fit the settings."""
    try:
        shard_map = await PostgresShardMaps(database=databases[0]).current()
    except asyncpg.UndefinedTableError:
        shard_map = ALL_ON_FIRST  # a single server can be migrated while the process waits to be ready
    check_servers(shard_map, len(databases))
    return shard_map


def traceparent_of(saga: Saga) -> str:
    """Return the traceparent that the saga's span is linked to."""
    return saga.traceparent


async def open_order(
    settings: OrderContextSettings,
    *,
    inventory: InventoryService,
    telemetry: Telemetry,
    stack: AsyncExitStack,
    orders_adapter: OrdersAdapter = PostgresOrders,
) -> tuple[OrderParts, Mapping[str, Check]]:
    """Connect to the databases and the event logs, which `stack` closes; return orders and their readiness checks.

    The read model and the logs are no part of readiness: without them orders are still accepted, and their events wait
    in the outbox. Of several servers of orders one that answers is enough, since its customers are served. Raises
    BadSettings when the shard map does not fit the settings.
    """
    open_database = partial(Database.open, telemetry=telemetry)
    databases = []
    for number, dsn in enumerate(settings.order_dsns):
        name = f"order_{number}" if number else None
        databases.append(await open_database(dsn, pool_size=settings.database_pool_size, name=name))
        stack.push_async_callback(databases[-1].close, timeout_seconds=settings.drain_grace_seconds)
    shard_map = await read_shard_map(databases)
    read_database = await open_database(
        settings.read_database_dsn.get_secret_value(), pool_size=settings.read_database_pool_size, name="order_read"
    )
    stack.push_async_callback(read_database.close, timeout_seconds=settings.drain_grace_seconds)
    open_replicas = partial(Replicas.open, telemetry=telemetry, stack=stack, close_seconds=settings.drain_grace_seconds)
    replica_options = partial(ReplicaOptions.of, settings)
    replicas = OrderReplicas(
        orders=[
            await open_replicas(replica_options(dsns), primary=database)
            for dsns, database in zip(settings.order_replica_dsns, databases, strict=True)
        ],
        lists=await open_replicas(replica_options(settings.read_replica_dsns), primary=read_database),
    )
    logs = await open_logs(
        settings.event_log_urls,
        telemetry=telemetry,
        stack=stack,
        allow_unsafe_sync=settings.event_log_allow_unsafe_sync,
    )
    parts = bootstrap_order(
        servers=[OrderServer(database=each, log=log) for each, log in zip(databases, logs, strict=True)],
        shard_map=shard_map,
        read_database=read_database,
        inventory=inventory,
        telemetry=telemetry,
        grace_seconds=settings.saga_grace_seconds,
        orders_adapter=orders_adapter,
        replicas=replicas,
    )
    return parts, {"order database": any_of([schema_check(database, *MIGRATIONS) for database in databases])}
