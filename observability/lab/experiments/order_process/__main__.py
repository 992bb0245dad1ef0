"""Runs order as the lab wants it: `python -m observability.lab.experiments.order_process serve`."""

from observability.lab.experiments.adapters import chosen_adapter
from services.infra import lifecycle
from services.infra.settings import read_settings
from services.order.__main__ import serve
from services.order.adapters.postgres import PostgresOrders
from services.order.settings import OrderSettings


def command(_arguments: list[str]) -> None:
    """Serve; the lab's databases are migrated by the shop's own programs."""
    settings = read_settings(OrderSettings)
    lifecycle.run(
        "order",
        settings,
        lambda runtime: serve(
            settings, runtime, orders_adapter=chosen_adapter(runtime.for_context("order"), PostgresOrders)
        ),
    )


if __name__ == "__main__":
    lifecycle.main("order", command)
