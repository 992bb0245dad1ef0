"""One key for consistency tokens, for ever; satisfies `services.order.application.ports.Tokens`."""

from services.order.consistency_token import TokenKeys


class FakeTokens:
    """Has the same key always."""

    async def keys(self) -> TokenKeys:
        """Return it."""
        return TokenKeys(1, {1: bytes(32)})
