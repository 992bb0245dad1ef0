"""Panels of PostgreSQL's own statistics: sessions by wait event, expensive statements, transactions, block cache.

The series come from postgres_exporter with `--extend.query-path` of grafana/postgres_exporter/queries.yml, for a role
that is a member of pg_monitor, in a database with the extension pg_stat_statements.
"""

from grafana.build.lib.panel import Panel, PanelKind, Query, Words
from grafana.build.lib.promql import grown, highest, per_second, total

STATEMENT = ("datname", "query")
HIT = per_second("postgres_databases_blocks_hit_total", "datname")
READ = per_second("postgres_databases_blocks_read_total", "datname")

POSTGRES_RATE = (
    Panel(
        24,
        "Transactions",
        "ops",
        Words(
            "Transactions that the server committed and rolled back, a second.",
            "in proportion to requests; few rollbacks.",
            "many rollbacks, or a rise without more requests.",
            "statements beside it, to see which ones.",
        ),
        (
            Query(per_second("postgres_databases_commits_total", "datname"), "{{datname}} committed"),
            Query(per_second("postgres_databases_rollbacks_total", "datname"), "{{datname}} rolled back"),
        ),
        width=6,
    ),
)
POSTGRES_ERRORS = (
    Panel(
        34,
        "Deadlocks",
        "none",
        Words(
            "Transactions that the server aborted because two waited for each other.",
            "0: statements take their locks in one order.",
            "any: two statements take the same locks in different orders.",
            "the server's log, which names both statements.",
        ),
        (Query(grown("postgres_databases_deadlocks_total", "datname"), "{{datname}}"),),
        width=6,
    ),
)
POSTGRES_DURATION = (
    Panel(
        49,
        "Most expensive statements, from PostgreSQL",
        "short",
        Words(
            "The statements that use most of the server's time: seconds a second, and calls a second.",
            "the same statements as the services report, at about the same height.",
            "one statement far above the others, or one that no service reports.",
            "EXPLAIN (ANALYZE, BUFFERS) of the first, if it reads more rows than it returns.",
        ),
        (
            Query(f"topk(10, {per_second('postgres_statements_seconds_total', *STATEMENT)})", "seconds a second"),
            Query(f"topk(10, {per_second('postgres_statements_calls_total', *STATEMENT)})", "calls a second"),
        ),
        kind=PanelKind.TABLE,
    ),
)
POSTGRES_SATURATION = (
    Panel(
        54,
        "Sessions by what they wait for",
        "none",
        Words(
            "Active sessions by what they wait for. CPU is work; Lock is another session; IO and LWLock are the"
            " server.",
            "fewer than the server has cores, most of them CPU.",
            "more sessions than cores, or many that wait for a Lock.",
            "Lock: oldest transaction beside it. IO: blocks found in memory, below. CPU: most expensive statements.",
        ),
        (
            Query(
                total("postgres_waits_sessions", "wait_event_type", "wait_event"), "{{wait_event_type}} {{wait_event}}"
            ),
        ),
        stacked=True,
        width=12,
    ),
    Panel(
        55,
        "Oldest open transaction",
        "s",
        Words(
            "Age of the oldest open transaction, by database.",
            "below a second: no transaction waits for another service.",
            "rising: a transaction stays open and holds its locks.",
            "sessions by what they wait for: those that wait for a Lock wait for this transaction.",
        ),
        (Query(highest("postgres_transactions_oldest_seconds", "datname"), "{{datname}}"),),
        width=12,
    ),
)
POSTGRES_RESOURCES = (
    Panel(
        62,
        "Sessions by state",
        "none",
        Words(
            "Sessions of the server by state, and the most it allows.",
            "far below the limit; idle in transaction near 0.",
            "near the limit, where connections are rejected; or many idle in transaction, which hold locks.",
            "connections by state beside it, to see whose they are.",
        ),
        (
            Query(total("postgres_connections_sessions", "state"), "{{state}}"),
            Query("max(postgres_limits_connections)", "at most"),
        ),
    ),
    Panel(
        63,
        "Share of blocks found in memory",
        "percentunit",
        Words(
            "Share of blocks that the server found in memory and did not read from disk.",
            "above 0.99 once warm.",
            "falling: the tables in use no longer fit into memory, or a scan displaces them.",
            "most expensive statements: a scan of a large table displaces the rest.",
        ),
        (Query(f"{HIT} / ({HIT} + {READ})", "{{datname}}"),),
    ),
)
