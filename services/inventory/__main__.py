"""Runs inventory: `python -m services.inventory serve`, or `migrate` to update its database's schema."""

import asyncio
from pathlib import Path

from observability.telemetry.setup import Runtime
from services.infra import lifecycle
from services.infra.admin import AdminApplication, Readiness
from services.infra.http_server import HttpServer
from services.infra.migrations import migrate
from services.infra.postgres import Database
from services.infra.rpc.server import RpcServer
from services.infra.settings import parse_address, read_settings
from services.inventory.bootstrap import bootstrap_inventory
from services.inventory.rpc.server import SERVICE, InventoryServicer
from services.inventory.rpc.translate import ERRORS
from services.inventory.settings import InventorySettings

MIGRATIONS = Path(__file__).parent / "migrations"


async def serve(settings: InventorySettings, runtime: Runtime) -> None:
    """Serve until a signal, then drain."""
    telemetry = runtime.for_context("inventory")
    dsn = settings.database_dsn.get_secret_value()
    database = await Database.open(dsn, pool_size=settings.database_pool_size, telemetry=telemetry)
    inventory = bootstrap_inventory(
        database=database, telemetry=telemetry, reservation_ttl_seconds=settings.reservation_ttl_seconds
    )
    rpc = RpcServer(name="grpc", listen=parse_address(settings.grpc_listen))
    rpc.add(SERVICE, InventoryServicer(inventory).methods(), telemetry=telemetry, errors=ERRORS)
    readiness = Readiness({"database": database.ping})
    admin_application = AdminApplication(runtime=runtime, readiness=readiness)
    admin = HttpServer(admin_application, name="admin", listen=parse_address(settings.admin_listen))
    try:
        await lifecycle.serve([admin, rpc], readiness=readiness, settings=settings, log=telemetry.log)
    finally:
        await database.close(timeout_seconds=settings.drain_grace_seconds)


def command(arguments: list[str]) -> None:
    """Run one of the two commands."""
    settings = read_settings(InventorySettings)
    match arguments:
        case ["migrate"]:
            asyncio.run(migrate(settings.database_dsn.get_secret_value(), MIGRATIONS))
        case ["serve"]:
            lifecycle.run("inventory", settings, lambda runtime: serve(settings, runtime))
        case _:
            raise SystemExit("usage: python -m services.inventory serve|migrate")


if __name__ == "__main__":
    lifecycle.main("inventory", command)
