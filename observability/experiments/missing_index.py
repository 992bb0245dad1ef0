"""Experiment missing index: a large table is scanned sequentially for a few rows."""

import random

from observability.analysis.bottleneck import Bottleneck
from observability.experiments.experiment import Demand, Experiment, ExperimentKind, Setting, Truth, Variant

# Rows of a shop that has sold for a while: orders of ten lines.
FILL = """
    INSERT INTO {table} ({columns}, line_number, sku, quantity)
    SELECT {values}, number % 10 + 1, '10001', 1
    FROM generate_series(0, {rows} - 1) AS number"""
ID = "md5((number / 10)::text)::uuid"
# Table, columns of its key without the line's number, their values, and the slow statement.
PLACES = {
    "inventory": ("reservation_lines", "reservation_id", ID, "SELECT reservations FOR UPDATE"),
    "order": ("order_lines", "order_id, logical_shard", f"{ID}, 0", "UPDATE orders"),
}


def draw(source: random.Random) -> Setting:
    """Draw the table without an index, its number of rows, and the utilisation."""
    service = source.choice(sorted(PLACES))
    table, columns, values, operation = PLACES[service]
    rows = source.randrange(240_000, 400_000, 10_000)
    filled = (FILL.format(table=table, columns=columns, values=values, rows=rows), f"ANALYZE {table}")
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
    fix="Create an index on the column of the search condition.",
    symptoms=("one statement takes most of the database's time", "it reads thousands of rows for each that it returns"),
    owner_alert="none",
    owner_alert_because="The table is not yet large enough for the objective to be missed.",
    draw=draw,
)
