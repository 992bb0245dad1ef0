"""Entry point of the monolith, `python -m services.monolith serve`: the whole shop in one process."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from observability.telemetry.setup import Runtime
from services.edge.server import edge_server
from services.infra import lifecycle, program
from services.infra.address import parse_address
from services.infra.admin import admin_server
from services.infra.admission import open_admission
from services.infra.http_server import edge_limits
from services.infra.readiness import Readiness
from services.infra.rpc.server import RpcServer
from services.infra.settings import read_settings
from services.inventory.api import InventoryService
from services.inventory.bootstrap import open_inventory
from services.inventory.rpc.server import add_inventory_service
from services.inventory.settings import InventorySettings
from services.notification.bootstrap import open_notification
from services.notification.settings import NotificationSettings
from services.order.api import OrderService
from services.order.bootstrap import open_order
from services.order.rpc.server import add_order_service
from services.order.settings import OrderContextSettings


@dataclass(frozen=True, slots=True)
class MonolithSettings:
    """Settings of each context; the process itself uses those of `order`."""

    order: OrderContextSettings
    inventory: InventorySettings
    notification: NotificationSettings


async def serve(settings: MonolithSettings, runtime: Runtime) -> None:
    """Serve until a signal, then drain. Each context keeps its own databases: never a shared transaction."""
    order, inventory = runtime.for_context("order"), runtime.for_context("inventory")
    notification = runtime.for_context("notification")
    async with AsyncExitStack() as stack:
        stock, stock_checks = await open_inventory(settings.inventory, telemetry=inventory, stack=stack)
        orders, order_checks = await open_order(
            settings.order, inventory=stock.application, telemetry=order, stack=stack
        )
        notifications, notification_checks = await open_notification(
            settings.notification, telemetry=notification, stack=stack
        )
        readiness = Readiness({**stock_checks, **order_checks, **notification_checks})
        workers = (*stock.workers, *orders.workers, *notifications.workers)
        servers = [*servers_of(settings, runtime, orders.application, stock.application, readiness), *workers]
        await lifecycle.serve(
            servers, readiness=readiness, settings=settings.order, log=runtime.log, outputs=runtime.outputs
        )


def servers_of(
    settings: MonolithSettings,
    runtime: Runtime,
    orders: OrderService,
    inventory: InventoryService,
    readiness: Readiness,
) -> list[lifecycle.Server]:
    """Return the servers of the process: admin port, gRPC of each context, and the REST edge."""
    admission = open_admission(
        runtime,
        "order",
        connections=settings.order.connections,
        enabled=settings.order.admission_enabled,
    )
    order_server = RpcServer(
        name="order_grpc",
        listen=parse_address(settings.order.grpc_listen),
        admission=admission,
        readiness=readiness,
        connection_age_seconds=settings.order.grpc_connection_age_seconds,
    )
    add_order_service(
        order_server,
        orders,
        telemetry=runtime.for_context("order"),
        continues_traces=settings.order.caller_traces_continued,
    )
    inventory_server = RpcServer(
        name="inventory_grpc",
        listen=parse_address(settings.inventory.grpc_listen),
        admission=open_admission(
            runtime,
            "inventory",
            connections=settings.inventory.database_pool_size,
            enabled=settings.inventory.admission_enabled,
        ),
        readiness=readiness,
        connection_age_seconds=settings.inventory.grpc_connection_age_seconds,
    )
    add_inventory_service(inventory_server, inventory, telemetry=runtime.for_context("inventory"))
    admin = admin_server(settings.order.admin_listen, runtime=runtime, readiness=readiness)
    http = edge_server(
        orders=orders,
        inventory=inventory,
        admission=admission,
        runtime=runtime,
        listen=parse_address(settings.order.http_listen),
        request_deadline_seconds=settings.order.request_deadline_seconds,
        limits=edge_limits(settings.order.http_connections),
        continues_traces=settings.order.caller_traces_continued,
    )
    return [admin, inventory_server, order_server, http]


def command(arguments: list[str]) -> None:
    """Run the command line."""
    if arguments != ["serve"]:
        raise SystemExit("usage: python -m services.monolith serve")
    settings = MonolithSettings(
        read_settings(OrderContextSettings), read_settings(InventorySettings), read_settings(NotificationSettings)
    )
    lifecycle.run("monolith", settings.order, lambda runtime: serve(settings, runtime))


if __name__ == "__main__":
    program.main("monolith", command)
