"""How does a hint lie in the cache? As a JSON array; whoever changes it gives it another version."""

import orjson

from services.inventory.api import StockHint


class HintCodec:
    """Satisfies `cache.Codec`."""

    version = 1

    def encode(self, hint: StockHint) -> bytes:
        """Return the bytes of a hint."""
        return orjson.dumps([hint.sku, hint.available, hint.sold_last_hour])

    def decode(self, data: bytes) -> StockHint:
        """Return the hint. Raises ValueError for what is none."""
        match orjson.loads(data):
            case [str(sku), int(available), int(sold_last_hour)]:
                return StockHint(sku, available, sold_last_hour)
        raise ValueError("not a hint")
