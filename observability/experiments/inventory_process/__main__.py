"""Inventory for experiments: `python -m observability.experiments.inventory_process serve`."""

from observability.experiments.adapters import chosen_adapter
from services.infra import lifecycle, program
from services.infra.settings import read_settings
from services.inventory.__main__ import serve
from services.inventory.adapters.postgres import PostgresStock
from services.inventory.settings import InventorySettings


def command(_arguments: list[str]) -> None:
    """Run the service. There is no migrate command, as the shop's own programs migrate the lab's databases."""
    settings = read_settings(InventorySettings)
    lifecycle.run(
        "inventory",
        settings,
        lambda runtime: serve(
            settings, runtime, stock_adapter=chosen_adapter(runtime.for_context("inventory"), PostgresStock)
        ),
    )


if __name__ == "__main__":
    program.main("inventory", command)
