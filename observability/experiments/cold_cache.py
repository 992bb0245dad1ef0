"""Experiment cold cache: cached values expire before the next request reads them."""

import random

from observability.analysis.bottleneck import Bottleneck
from observability.experiments.experiment import Demand, Experiment, ExperimentKind, Setting, Truth, Variant
from observability.load.demand import SKU_COUNT, sku_of_rank

LIFETIME = "INVENTORY_HINT_LIFETIME_SECONDS"
LONG_SECONDS = 60.0
# Sales of the last fifty minutes in order of time, and the deliveries before them.
FILL = """
    INSERT INTO stock_ledger (sku, kind, quantity, cause, create_time)
    SELECT ({first} + number * 7919 % {skus})::text, 'SOLD', 1, 'an order of before',
        now() - (1 - number::float / {rows}) * interval '50 minutes'
    FROM generate_series(0, {rows} - 1) AS number"""
DELIVER = """
    INSERT INTO stock_ledger (sku, kind, quantity, cause, create_time)
    SELECT sku, 'RESTOCKED', count(*), 'a delivery of before', now() - interval '51 minutes'
    FROM stock_ledger WHERE kind = 'SOLD' GROUP BY sku"""


def draw(source: random.Random) -> Setting:
    """Draw the lifetime of a cached hint, the number of sales, the number of SKUs that are viewed, and the utilisation.

    The SKUs are so few that a working cache is warm before the measurement begins.
    """
    milliseconds = source.choice((5, 10, 20))
    rows = source.randrange(80_000, 150_000, 10_000)
    looked_at = source.randrange(12, 32, 2)
    fill = FILL.format(first=sku_of_rank(1), skus=SKU_COUNT, rows=rows)
    sold = {"inventory": (fill, DELIVER, "ANALYZE stock_ledger")}
    return Setting(
        place=f"hints live {milliseconds} ms; {rows:,} sales an hour, {looked_at} SKUs are looked at",
        before=Variant(statements=sold, environment={"inventory": {LIFETIME: str(milliseconds / 1e3)}}),
        after=Variant(statements=sold, environment={"inventory": {LIFETIME: str(LONG_SECONDS)}}),
        demand=Demand(utilisation=source.uniform(0.6, 0.7), lines=(2, 6), looked_at=looked_at),
        truth=Truth(Bottleneck.COLD_CACHE, "inventory", "SELECT stock_ledger"),
    )


EXPERIMENT = Experiment(
    name="cold_cache",
    kind=ExperimentKind.BOTTLENECK,
    hypothesis="A cached value expires before the next request for it, and is read from the database each time.",
    fix="Raise the lifetime to the staleness that the business can accept.",
    symptoms=("few lookups hit the cache", "most requests make an expensive read of the database"),
    owner_alert="ShopCacheCold",
    owner_alert_because="Most lookups miss, and reading the values keeps much of a connection busy.",
    draw=draw,
)
