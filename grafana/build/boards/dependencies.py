"""Dashboard of the dependencies: services called, connection pools, PostgreSQL, caches."""

from grafana.build.lib.panel import Board, Heading, PanelRow
from grafana.build.panels.caches import CACHE_ERRORS, CACHE_RATE, CACHE_SATURATION
from grafana.build.panels.calls import CALL_DURATION, CALL_ERRORS, CALL_RATE
from grafana.build.panels.overload_protection import PROTECTION_ERRORS, PROTECTION_SATURATION
from grafana.build.panels.pool import POOL_DURATION, POOL_ERRORS, POOL_RATE, POOL_RESOURCES, POOL_SATURATION
from grafana.build.panels.postgres import (
    POSTGRES_DURATION,
    POSTGRES_ERRORS,
    POSTGRES_RATE,
    POSTGRES_RESOURCES,
    POSTGRES_SATURATION,
)
from grafana.build.panels.replicas import REPLICA_DURATION, REPLICA_ERRORS, REPLICA_RATE, REPLICA_SATURATION
from grafana.build.panels.shards import SHARD_ERRORS
from grafana.build.panels.signals import signals, traces
from grafana.build.panels.statements import STATEMENT_DURATION, STATEMENT_ERRORS, STATEMENT_RATE

ERRORS = (
    *CALL_ERRORS,
    *STATEMENT_ERRORS,
    *POOL_ERRORS,
    *POSTGRES_ERRORS,
    *PROTECTION_ERRORS,
    *CACHE_ERRORS,
    *REPLICA_ERRORS,
    *SHARD_ERRORS,
)
SLOW = traces(
    72,
    "Requests of an order process",
    "order",
    then="the longest trace: its widest span names the call or the statement; a gap before it is a wait.",
)
BOARD = Board(
    "shop-dependencies",
    "Dependencies",
    "What the shop waits for: other services, connections, PostgreSQL, its replicas, and reads that no cache has.",
    (
        PanelRow(Heading.RATE, (*CALL_RATE, *STATEMENT_RATE, *POOL_RATE, *POSTGRES_RATE, *CACHE_RATE, *REPLICA_RATE)),
        PanelRow(Heading.ERRORS, ERRORS),
        PanelRow(
            Heading.DURATION,
            (*CALL_DURATION, *STATEMENT_DURATION, *POOL_DURATION, *POSTGRES_DURATION, *REPLICA_DURATION),
        ),
        PanelRow(
            Heading.SATURATION,
            (*POOL_SATURATION, *POSTGRES_SATURATION, *PROTECTION_SATURATION, *CACHE_SATURATION, *REPLICA_SATURATION),
        ),
        PanelRow(Heading.RESOURCES, (*POOL_RESOURCES, *POSTGRES_RESOURCES)),
        signals(SLOW),
    ),
)
