"""Experiment read saturation: reads fill the processor of the database server, and the fix is two replicas.

Each server has a processor limit, as containers have one, so that a replica brings a processor of its own although this
machine has no more of them. One replica would gain nothing: it would take over all reads, and be as full.
"""

import random
from dataclasses import replace

from observability.analysis.bottleneck import Bottleneck
from observability.experiments.experiment import Demand, Experiment, ExperimentKind, Setting, Truth, Variant
from observability.load.demand import SKU_COUNT, sku_of_rank

REPLICAS = 2
# Processors of each server: so few that this machine has room for three of them and the services.
PROCESSORS = 0.2
SERVERS = ("postgres", *(f"postgres-replica-{number}" for number in range(1, 1 + REPLICAS)))
# Sales of the last four hours in order of time. A hint sums up those of the last one, and BRIN skips the others.
HOURS = 4
FILL = """
    INSERT INTO stock_ledger (sku, kind, quantity, cause, create_time)
    SELECT ({first} + number * 7919 % {skus})::text, 'SOLD', 1, 'an order of before',
        now() - (1 - number::float / {rows}) * interval '{hours} hours'
    FROM generate_series(0, {rows} - 1) AS number"""
DELIVER = """
    INSERT INTO stock_ledger (sku, kind, quantity, cause, create_time)
    SELECT sku, 'RESTOCKED', count(*), 'a delivery of before', now() - interval '{hours} hours 1 minute'
    FROM stock_ledger WHERE kind = 'SOLD' GROUP BY sku"""
# A second process would share the server's limit.
SERIAL = "ALTER DATABASE inventory SET max_parallel_workers_per_gather = 0"


def draw(source: random.Random) -> Setting:
    """Draw the number of sales an hour, which is what a read costs, and the utilisation."""
    rows = source.randrange(30_000, 50_000, 5_000)
    fill = FILL.format(first=sku_of_rank(1), skus=SKU_COUNT, rows=rows * HOURS, hours=HOURS)
    before = Variant(
        statements={"inventory": (SERIAL, fill, DELIVER.format(hours=HOURS), "VACUUM ANALYZE stock_ledger")},
        # Without a cache every hint is read from the database.
        environment={"inventory": {"INVENTORY_CACHE_URL": ""}},
        processor_limits=dict.fromkeys(SERVERS, PROCESSORS),
    )
    return Setting(
        place=(
            f"each database server has {PROCESSORS:g} of a processor; hints of all {SKU_COUNT:,} SKUs are read, of "
            f"{rows:,} sales an hour, and not cached; the fix is {REPLICAS} replicas"
        ),
        before=before,
        after=replace(before, replicas=REPLICAS),
        demand=Demand(utilisation=source.uniform(0.68, 0.74), lines=(2, 6), looked_at=SKU_COUNT),
        truth=Truth(Bottleneck.READ_SATURATION, "inventory", "SELECT stock_ledger"),
    )


EXPERIMENT = Experiment(
    name="read_saturation",
    kind=ExperimentKind.BOTTLENECK,
    hypothesis="Reads use up the processor of the database server, and wait for each other.",
    fix="Read from two streaming replicas, each with as much processor, with `plumb up --replicas 2`.",
    symptoms=("the server is stopped by its processor limit", "its sessions run, and wait for nothing else"),
    owner_alert="none",
    owner_alert_because="No alert covers the processor of a database server: the platform does not measure it.",
    draw=draw,
    # Each connection's first statements cost the server several times as much as later ones.
    warm_up_seconds=6.0,
)
