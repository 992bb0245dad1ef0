"""Read stock hints: available units and recent sales, for shoppers before they order."""

from services.inventory.api import GetStockHints, SkuNotFound, StockHint
from services.inventory.application.ports import Hints


class GetStockHintsHandler:
    """Reads hints, which may be out of date: only a reservation decides."""

    def __init__(self, *, hints: Hints) -> None:
        self._hints = hints

    async def __call__(self, query: GetStockHints) -> tuple[StockHint, ...]:
        """Return one hint for each SKU, in the order of the query. Raises SkuNotFound."""
        hints = await self._hints.get(query.skus)
        if unknown := tuple(sku for sku in query.skus if sku not in hints):
            raise SkuNotFound(unknown)
        return tuple(hints[sku] for sku in query.skus)
