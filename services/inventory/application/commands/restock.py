"""Restock: add units of known SKUs, and new SKUs."""

from services.inventory.api import Restock, SkuNotFound, StockLevel
from services.inventory.application.ports import Stock


class RestockHandler:
    """Adds units; a SKU enters the catalogue with its first price."""

    def __init__(self, *, stock: Stock) -> None:
        self._stock = stock

    async def __call__(self, command: Restock) -> tuple[StockLevel, ...]:
        """Return the new levels in the order of the request. Raises SkuNotFound for a new SKU without a price."""
        skus = tuple(line.sku for line in command.lines)
        async with self._stock.transaction("restock") as transaction:
            if await transaction.claim(command, command.request_id):
                levels = await transaction.lock_levels(skus)
                prices = {sku: level.unit_price for sku, level in levels.items()}
                prices |= {line.sku: line.unit_price for line in command.lines if line.unit_price}
                if unknown := tuple(sku for sku in skus if sku not in prices):
                    raise SkuNotFound(unknown)
                await transaction.deliver(command.lines, prices, command.request_id)
            levels = await transaction.lock_levels(skus)
        return tuple(levels[sku] for sku in skus)
