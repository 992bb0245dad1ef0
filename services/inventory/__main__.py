"""The inventory process: `python -m services.inventory serve`."""

from contextlib import AsyncExitStack

from observability.telemetry.setup import Runtime
from services.infra import lifecycle, program
from services.infra.address import parse_address
from services.infra.admin import admin_server
from services.infra.admission import open_admission
from services.infra.readiness import Readiness
from services.infra.rpc.server import RpcServer
from services.infra.settings import read_settings
from services.inventory.adapters.postgres import PostgresStock
from services.inventory.bootstrap import StockAdapter, open_inventory
from services.inventory.rpc.server import add_inventory_service
from services.inventory.settings import InventorySettings


async def serve(settings: InventorySettings, runtime: Runtime, *, stock_adapter: StockAdapter = PostgresStock) -> None:
    """Serve until a signal, then drain."""
    telemetry = runtime.for_context("inventory")
    async with AsyncExitStack() as stack:
        parts, checks = await open_inventory(settings, telemetry=telemetry, stack=stack, stock_adapter=stock_adapter)
        admission = open_admission(
            runtime, "inventory", connections=settings.database_pool_size, enabled=settings.admission_enabled
        )
        readiness = Readiness(checks)
        rpc = RpcServer(
            name="grpc",
            listen=parse_address(settings.grpc_listen),
            admission=admission,
            readiness=readiness,
            connection_age_seconds=settings.grpc_connection_age_seconds,
        )
        add_inventory_service(rpc, parts.application, telemetry=telemetry)
        admin = admin_server(settings.admin_listen, runtime=runtime, readiness=readiness)
        servers: list[lifecycle.Server] = [admin, rpc, *parts.workers]
        await lifecycle.serve(
            servers, readiness=readiness, settings=settings, log=telemetry.log, outputs=runtime.outputs
        )


def command(arguments: list[str]) -> None:
    """Run the command."""
    if arguments != ["serve"]:
        raise SystemExit("usage: python -m services.inventory serve")
    settings = read_settings(InventorySettings)
    lifecycle.run("inventory", settings, lambda runtime: serve(settings, runtime))


if __name__ == "__main__":
    program.main("inventory", command)
