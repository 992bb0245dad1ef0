"""Codec of hints in the cache: a JSON array. Every change of the format needs a new `version`."""

import orjson

from services.inventory.api import StockHint


class HintCodec:
    """Satisfies `cache.Codec`."""

    version = 1

    def encode(self, hint: StockHint) -> bytes:
        """Return the bytes of a hint."""
        return orjson.dumps([hint.sku, hint.available, hint.sold_last_hour])

    def decode(self, data: bytes) -> StockHint:
        """Return the hint. Raises ValueError for other bytes."""
        match orjson.loads(data):
            case [str(sku), int(available), int(sold_last_hour)]:
                return StockHint(sku, available, sold_last_hour)
        raise ValueError("not a hint")
