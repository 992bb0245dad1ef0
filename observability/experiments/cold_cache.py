"""Cold cache: what is read from the database lives so short in the cache that it is gone when the next one asks."""

import random

from observability.analysis.bottleneck import Bottleneck
from observability.experiments.experiment import Demand, Experiment, ExperimentKind, Setting, Truth, Variant
from observability.load.demand import SKU_COUNT, sku_of_rank

LIFETIME = "INVENTORY_HINT_LIFETIME_SECONDS"
LONG_SECONDS = 60.0
# What a shop has sold in the last fifty minutes, in the order of time; what was sold had been delivered.
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
    """Draw how short a hint lives, how much was sold, how many SKUs are looked at, and how busy it gets.

    They are so few that a cache that keeps them is warm before anything is counted.
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
    hypothesis="A value is gone from the cache before anybody asks for it again, and is read anew each time.",
    fix="Let it live as long as the business can bear it to be old.",
    symptoms=("few keys that are asked of the cache are there", "a dear read of the database for most requests"),
    owner_alert="ShopCacheCold",
    owner_alert_because="Most keys are missing, and to read them keeps a good part of a connection busy.",
    draw=draw,
)
