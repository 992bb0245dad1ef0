"""Missing index: a table that has grown is read from end to end for a handful of rows."""

import random

from observability.analysis.bottleneck import Bottleneck
from observability.experiments.experiment import Demand, Experiment, ExperimentKind, Setting, Truth, Variant

# What stands in the tables of a shop that has sold for a while: orders of ten lines.
FILL = """
    INSERT INTO {table} ({id}, line_number, sku, quantity)
    SELECT md5((number / 10)::text)::uuid, number % 10 + 1, '10001', 1
    FROM generate_series(0, {rows} - 1) AS number"""
PLACES = {
    "inventory": ("reservation_lines", "reservation_id", "SELECT reservations FOR UPDATE"),
    "order": ("order_lines", "order_id", "UPDATE orders"),
}


def draw(source: random.Random) -> Setting:
    """Draw which table has no index, how many rows it has, and how busy it gets."""
    service = source.choice(sorted(PLACES))
    table, identifier, operation = PLACES[service]
    rows = source.randrange(240_000, 400_000, 10_000)
    filled = (FILL.format(table=table, id=identifier, rows=rows), f"ANALYZE {table}")
    dropped = f"ALTER TABLE {table} DROP CONSTRAINT {table}_pkey"
    return Setting(
        place=f"{table} of {service}, {rows:,} rows",
        before=Variant(statements={service: (*filled, dropped)}),
        after=Variant(statements={service: filled}),
        demand=Demand(utilisation=source.uniform(0.55, 0.7)),
        truth=Truth(Bottleneck.MISSING_INDEX, service, operation),
    )


EXPERIMENT = Experiment(
    name="missing_index",
    kind=ExperimentKind.BOTTLENECK,
    hypothesis="One statement reads a whole table for the rows of one order.",
    fix="Create the index on the column that is searched by.",
    symptoms=("one statement takes most of the database's time", "it reads thousands of rows for each that it returns"),
    owner_alert="none",
    owner_alert_because="The table has not grown enough yet to break the objective; it will.",
    draw=draw,
)
