"""Read stock levels."""

from services.inventory.api import GetStock, SkuNotFound, StockLevel
from services.inventory.application.ports import Stock
from services.inventory.domain.reservation import find_unknown


class GetStockHandler:
    """Reads the stock levels of some SKUs."""

    def __init__(self, *, stock: Stock) -> None:
        self._stock = stock

    async def __call__(self, query: GetStock) -> tuple[StockLevel, ...]:
        """Return one level for each SKU, in the order of the query. Raises SkuNotFound."""
        levels = await self._stock.read_levels(query.skus)
        if unknown := find_unknown(query.skus, levels):
            raise SkuNotFound(unknown)
        return tuple(levels[sku] for sku in query.skus)
