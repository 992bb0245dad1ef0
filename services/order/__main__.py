"""The order process with the REST edge: `python -m services.order serve`."""

from collections.abc import Callable
from contextlib import AsyncExitStack

from observability.telemetry.setup import Runtime
from services.edge.server import edge_server
from services.infra import lifecycle, program
from services.infra.address import parse_address
from services.infra.admin import admin_server
from services.infra.admission import open_admission
from services.infra.http_server import edge_limits
from services.infra.readiness import Readiness
from services.infra.rpc.client import open_channel
from services.infra.rpc.server import RpcServer
from services.infra.settings import read_settings
from services.inventory.api import InventoryService
from services.inventory.rpc.client import InventoryClient
from services.order.adapters.postgres import PostgresOrders
from services.order.bootstrap import OrdersAdapter, open_order
from services.order.rpc.server import add_order_service
from services.order.settings import OrderSettings


async def serve(
    settings: OrderSettings,
    runtime: Runtime,
    *,
    orders_adapter: OrdersAdapter = PostgresOrders,
    inventory_client: Callable[..., InventoryService] = InventoryClient,
) -> None:
    """Serve until a signal, then drain."""
    telemetry = runtime.for_context("order")
    async with AsyncExitStack() as stack:
        guarded = settings.inventory_guarded
        channel = await stack.enter_async_context(open_channel(settings.inventory_target, budget=guarded))
        inventory = inventory_client(channel, target=settings.inventory_target, telemetry=telemetry, guarded=guarded)
        parts, checks = await open_order(
            settings,
            inventory=inventory,
            telemetry=telemetry,
            stack=stack,
            orders_adapter=orders_adapter,
        )
        admission = open_admission(
            runtime, "order", connections=settings.connections, enabled=settings.admission_enabled
        )
        readiness = Readiness(checks)
        rpc = RpcServer(
            name="grpc",
            listen=parse_address(settings.grpc_listen),
            admission=admission,
            readiness=readiness,
            connection_age_seconds=settings.grpc_connection_age_seconds,
        )
        add_order_service(
            rpc, parts.application, telemetry=telemetry, continues_traces=settings.caller_traces_continued
        )
        admin = admin_server(settings.admin_listen, runtime=runtime, readiness=readiness)
        http = edge_server(
            orders=parts.application,
            inventory=inventory,
            admission=admission,
            runtime=runtime,
            listen=parse_address(settings.http_listen),
            request_deadline_seconds=settings.request_deadline_seconds,
            limits=edge_limits(settings.http_connections),
            continues_traces=settings.caller_traces_continued,
        )
        servers: list[lifecycle.Server] = [admin, rpc, http, *parts.workers]
        await lifecycle.serve(
            servers, readiness=readiness, settings=settings, log=telemetry.log, outputs=runtime.outputs
        )


def command(arguments: list[str]) -> None:
    """Run the command."""
    if arguments != ["serve"]:
        raise SystemExit("usage: python -m services.order serve")
    settings = read_settings(OrderSettings)
    lifecycle.run("order", settings, lambda runtime: serve(settings, runtime))


if __name__ == "__main__":
    program.main("order", command)
