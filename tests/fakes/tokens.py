"""Fixed key for consistency tokens; satisfies `services.order.application.ports.Tokens`."""

from services.order.consistency_token import TokenKeys


class FakeTokens:
    """Key store with one key that never changes."""

    async def keys(self) -> TokenKeys:
        """Return the key."""
        return TokenKeys(1, {1: bytes(32)})
