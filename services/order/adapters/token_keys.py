"""Keys of consistency tokens in the order database, a new one each day, shared by all processes."""

from services.infra.postgres import Database
from services.kernel.clock import Clock
from services.order.consistency_token import TokenKeys

# A token is valid for the rest of its day and all of the next.
PERIOD_SECONDS = 86_400


class PostgresTokenKeys:
    """Satisfies `ports.Tokens`. Reads the database once a day, and makes the next day's key too."""

    def __init__(self, *, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._keys: dict[int, bytes] = {}

    async def keys(self) -> TokenKeys:
        """Return the keys that are valid now."""
        period = int(self._clock().timestamp()) // PERIOD_SECONDS
        # A key is made a day before it is used, so that every process knows it by then, even with another clock.
        if period + 1 not in self._keys:
            self._keys = await self._load(period)
        return TokenKeys(period, self._keys)

    async def _load(self, period: int) -> dict[int, bytes]:
        # Purpose: the first process makes a key, and all others read it; yesterday's is kept, older ones are deleted.
        ensure = """
            WITH gone AS (DELETE FROM consistency_token_keys WHERE period < $1 - 1),
            ensured AS (
                INSERT INTO consistency_token_keys (period, key)
                SELECT period, sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))
                FROM generate_series($1::int, $1 + 1) period
                ON CONFLICT (period) DO UPDATE SET period = excluded.period RETURNING period, key)
            SELECT period, key FROM ensured
            UNION SELECT period, key FROM consistency_token_keys WHERE period = $1 - 1"""
        rows = await self._database.fetch("INSERT consistency_token_keys", ensure, period)
        return {row["period"]: row["key"] for row in rows}
