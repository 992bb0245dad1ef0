"""Runs the whole shop as one process: `python -m services.monolith serve`. Only the calls between contexts differ."""

from observability.telemetry.setup import Runtime
from services.edge.application import make_edge
from services.infra import lifecycle
from services.infra.admin import AdminApplication, Readiness
from services.infra.http_server import HttpServer
from services.infra.postgres import Database
from services.infra.rpc.server import RpcServer
from services.infra.settings import parse_address, read_settings
from services.inventory.bootstrap import bootstrap_inventory
from services.inventory.rpc import server as inventory_rpc
from services.inventory.rpc.translate import ERRORS as INVENTORY_ERRORS
from services.inventory.settings import InventorySettings
from services.order.bootstrap import bootstrap_order
from services.order.rpc import server as order_rpc
from services.order.rpc.translate import ERRORS as ORDER_ERRORS
from services.order.settings import OrderContextSettings


async def serve(order: OrderContextSettings, inventory: InventorySettings, runtime: Runtime) -> None:
    """Serve until a signal, then drain. Each context keeps its own database: never a shared transaction."""
    order_telemetry, inventory_telemetry = runtime.for_context("order"), runtime.for_context("inventory")
    order_database = await Database.open(
        order.database_dsn.get_secret_value(), pool_size=order.database_pool_size, telemetry=order_telemetry
    )
    inventory_database = await Database.open(
        inventory.database_dsn.get_secret_value(), pool_size=inventory.database_pool_size, telemetry=inventory_telemetry
    )
    stock = bootstrap_inventory(
        database=inventory_database,
        telemetry=inventory_telemetry,
        reservation_ttl_seconds=inventory.reservation_ttl_seconds,
    )
    orders = bootstrap_order(database=order_database, inventory=stock, telemetry=order_telemetry)

    order_server = RpcServer(name="order_grpc", listen=parse_address(order.grpc_listen))
    order_methods = order_rpc.OrderServicer(orders).methods()
    order_server.add(order_rpc.SERVICE, order_methods, telemetry=order_telemetry, errors=ORDER_ERRORS)
    inventory_server = RpcServer(name="inventory_grpc", listen=parse_address(inventory.grpc_listen))
    inventory_methods = inventory_rpc.InventoryServicer(stock).methods()
    inventory_server.add(
        inventory_rpc.SERVICE, inventory_methods, telemetry=inventory_telemetry, errors=INVENTORY_ERRORS
    )
    edge = make_edge(
        orders=orders,
        telemetry=runtime.for_context("edge"),
        tracer_provider=runtime.provider,
        request_deadline_seconds=order.request_deadline_seconds,
    )
    readiness = Readiness({"order database": order_database.ping, "inventory database": inventory_database.ping})
    admin_application = AdminApplication(runtime=runtime, readiness=readiness)
    admin = HttpServer(admin_application, name="admin", listen=parse_address(order.admin_listen))
    http = HttpServer(edge, name="http", listen=parse_address(order.http_listen))
    try:
        servers: list[lifecycle.Server] = [admin, inventory_server, order_server, http]
        await lifecycle.serve(servers, readiness=readiness, settings=order, log=runtime.log)
    finally:
        await order_database.close(timeout_seconds=order.drain_grace_seconds)
        await inventory_database.close(timeout_seconds=order.drain_grace_seconds)


def command(arguments: list[str]) -> None:
    """Run the command."""
    order, inventory = read_settings(OrderContextSettings), read_settings(InventorySettings)
    if arguments != ["serve"]:
        raise SystemExit("usage: python -m services.monolith serve")
    lifecycle.run("monolith", order, lambda runtime: serve(order, inventory, runtime))


if __name__ == "__main__":
    lifecycle.main("monolith", command)
