"""Runs orders with an adapter of the lab: `LAB_ADAPTER=module:function python -m ... serve`."""

from observability.lab.experiments.adapters import chosen_adapter
from services.infra import lifecycle
from services.infra.settings import read_settings
from services.order import __main__ as shop
from services.order.settings import OrderSettings


def command(arguments: list[str]) -> None:
    """Serve; all else, migrations, is the shop's own."""
    if arguments != ["serve"]:
        shop.command(arguments)
        return
    settings = read_settings(OrderSettings)
    lifecycle.run(
        "order",
        settings,
        lambda runtime: shop.serve(settings, runtime, orders_adapter=chosen_adapter(runtime.for_context("order"))),
    )


if __name__ == "__main__":
    lifecycle.main("order", command)
