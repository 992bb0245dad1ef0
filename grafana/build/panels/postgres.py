"""What does PostgreSQL itself say? Sessions by what they wait for, its dearest statements, transactions and cache.

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
            "How many transactions does the server end?",
            "in proportion to requests; rollbacks are few.",
            "statements beside it, for which ones.",
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
            "How many transactions did the server end because two waited for each other?",
            "0: statements take their locks in one order.",
            "the server's log, which names both statements.",
        ),
        (Query(grown("postgres_databases_deadlocks_total", "datname"), "{{datname}}"),),
        width=6,
    ),
)
POSTGRES_DURATION = (
    Panel(
        49,
        "Dearest statements, as the server counts",
        "short",
        Words(
            "Which statements have most of the server's time? Seconds a second since the last looks.",
            "the same statements as the services report, at about the same height.",
            "EXPLAIN (ANALYZE, BUFFERS) of the first, if it reads more rows than it returns.",
        ),
        (
            Query(f"topk(10, {per_second('postgres_statements_seconds_total', *STATEMENT)})"),
            Query(f"topk(10, {per_second('postgres_statements_calls_total', *STATEMENT)})"),
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
            "What are active sessions doing? CPU is work; Lock is another session; IO and LWLock are the server.",
            "fewer than the server has cores, most of them CPU.",
            "Lock: oldest transaction beside it. IO: cache below. CPU: dearest statements.",
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
            "Does a transaction stay open, and hold its locks?",
            "below a second; nothing in it waits for another service.",
            "sessions by what they wait for: others that wait for a Lock wait for this one.",
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
            "How many sessions does the server have, of those that it allows?",
            "far below what is allowed; idle in transaction near 0.",
            "connections by state beside it, for whose they are.",
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
            "Does the server read from memory or from disk?",
            "above 0.99 once warm.",
            "dearest statements: a scan of a large table pushes the rest out.",
        ),
        (Query(f"{HIT} / ({HIT} + {READ})", "{{datname}}"),),
    ),
)
