"""Runs orders with the REST edge: `python -m services.order serve`, or `migrate` to update its database's schema."""

import asyncio
from pathlib import Path

from observability.telemetry.setup import Runtime
from services.edge.application import make_edge
from services.infra import lifecycle
from services.infra.admin import AdminApplication, Readiness
from services.infra.http_server import HttpServer
from services.infra.migrations import migrate
from services.infra.postgres import Database
from services.infra.rpc.client import open_channel
from services.infra.rpc.server import RpcServer
from services.infra.settings import parse_address, read_settings
from services.inventory.rpc.client import InventoryClient
from services.order.bootstrap import bootstrap_order
from services.order.rpc.server import SERVICE, OrderServicer
from services.order.rpc.translate import ERRORS
from services.order.settings import OrderSettings

MIGRATIONS = Path(__file__).parent / "migrations"


async def serve(settings: OrderSettings, runtime: Runtime) -> None:
    """Serve until a signal, then drain."""
    telemetry = runtime.for_context("order")
    dsn = settings.database_dsn.get_secret_value()
    database = await Database.open(dsn, pool_size=settings.database_pool_size, telemetry=telemetry)
    channel = open_channel(settings.inventory_target)
    inventory = InventoryClient(channel, target=settings.inventory_target, telemetry=telemetry)
    orders = bootstrap_order(database=database, inventory=inventory, telemetry=telemetry)
    rpc = RpcServer(name="grpc", listen=parse_address(settings.grpc_listen))
    rpc.add(SERVICE, OrderServicer(orders).methods(), telemetry=telemetry, errors=ERRORS)
    edge = make_edge(
        orders=orders,
        telemetry=runtime.for_context("edge"),
        tracer_provider=runtime.provider,
        request_deadline_seconds=settings.request_deadline_seconds,
    )
    readiness = Readiness({"database": database.ping})
    admin_application = AdminApplication(runtime=runtime, readiness=readiness)
    admin = HttpServer(admin_application, name="admin", listen=parse_address(settings.admin_listen))
    http = HttpServer(edge, name="http", listen=parse_address(settings.http_listen))
    try:
        await lifecycle.serve([admin, rpc, http], readiness=readiness, settings=settings, log=telemetry.log)
    finally:
        await channel.close()
        await database.close(timeout_seconds=settings.drain_grace_seconds)


def command(arguments: list[str]) -> None:
    """Run one of the two commands."""
    settings = read_settings(OrderSettings)
    match arguments:
        case ["migrate"]:
            asyncio.run(migrate(settings.database_dsn.get_secret_value(), MIGRATIONS))
        case ["serve"]:
            lifecycle.run("order", settings, lambda runtime: serve(settings, runtime))
        case _:
            raise SystemExit("usage: python -m services.order serve|migrate")


if __name__ == "__main__":
    lifecycle.main("order", command)
