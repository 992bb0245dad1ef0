"""Order service for experiments: `python -m observability.experiments.order_process serve`."""

from observability.experiments.adapters import CLIENT_VARIABLE, chosen_adapter
from observability.telemetry.setup import Runtime
from services.infra import lifecycle, program
from services.infra.settings import read_settings
from services.inventory.rpc.client import InventoryClient
from services.order.__main__ import serve
from services.order.adapters.postgres import PostgresOrders
from services.order.settings import OrderSettings


def command(_arguments: list[str]) -> None:
    """Run the service. There is no migrate command, as the shop's own programs migrate the lab's databases."""
    settings = read_settings(OrderSettings)

    async def serve_chosen(runtime: Runtime) -> None:
        telemetry = runtime.for_context("order")
        await serve(
            settings,
            runtime,
            orders_adapter=chosen_adapter(telemetry, PostgresOrders),
            inventory_client=chosen_adapter(telemetry, InventoryClient, variable=CLIENT_VARIABLE),
        )

    lifecycle.run("order", settings, serve_chosen)


if __name__ == "__main__":
    program.main("order", command)
