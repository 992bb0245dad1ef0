"""Check whether lines could be reserved now; the stock may change a moment later."""

from services.inventory.api import CheckAvailability, Shortage, SkuNotFound
from services.inventory.application.ports import Stock
from services.inventory.domain.reservation import find_shortages, find_unknown


class CheckAvailabilityHandler:
    """Reads the stock without locks, so the answer is only a hint."""

    def __init__(self, *, stock: Stock) -> None:
        self._stock = stock

    async def __call__(self, query: CheckAvailability) -> tuple[Shortage, ...]:
        """Return the lines that could not be reserved now. Raises SkuNotFound."""
        skus = tuple(line.sku for line in query.lines)
        levels = await self._stock.read_levels(skus)
        if unknown := find_unknown(skus, levels):
            raise SkuNotFound(unknown)
        return find_shortages(query.lines, levels)
