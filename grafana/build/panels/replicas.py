"""Panels of the read replicas: reads by target, rejected reads, waits, fallbacks, conflicts, lag."""

from grafana.build.lib.panel import Limit, Panel, Query, Words
from grafana.build.lib.promql import chosen, highest, lowest, per_second
from grafana.build.lib.quantiles import p95
from observability.prometheus.build import thresholds

DATABASE = ("context", "database")
POOL = ("context", "db_client_connection_pool_name")
LEGEND = "{{context}} {{db_client_connection_pool_name}}"

REPLICA_RATE = (
    Panel(
        201,
        "Reads that replicas may answer, by target",
        "ops",
        Words(
            "Reads of orders, lists and stock hints a second, by who answered. Empty without replicas.",
            "nearly all replica.",
            "primary above a tenth: replicas are behind or down. rejected: 503, to spare the primary.",
            "reads on the primary by reason, among the errors.",
        ),
        (
            Query(
                per_second(chosen("shop_replica_reads_total"), *DATABASE, "target"),
                "{{context}} {{database}} {{target}}",
            ),
        ),
        width=24,
        stacked=True,
    ),
)
REPLICA_ERRORS = (
    Panel(
        301,
        "Reads on the primary by reason",
        "ops",
        Words(
            "Reads a second that no replica answered and the primary did.",
            "some missing and behind: reads of what was just written.",
            "many behind: replicas lag. unavailable: they are down, or too far behind. conflict: see beside.",
            "lag of replicas below, and replicas that answer beside.",
        ),
        (
            Query(
                per_second(chosen("shop_replica_fallbacks_total"), *DATABASE, "reason"),
                "{{context}} {{database}} {{reason}}",
            ),
        ),
        width=8,
    ),
    Panel(
        302,
        "Reads cancelled by a replica",
        "ops",
        Words(
            "Reads a second that a replica cancelled because they were in the way of its replay.",
            "0; some while a migration or a rebuild of the lists runs.",
            "steadily above 0: reads meet what vacuum removes. hot_standby_feedback helps, and costs bloat.",
            "the log of that replica: it names the conflict.",
        ),
        (Query(per_second(chosen("shop_replica_conflicts_total"), *DATABASE), "{{context}} {{database}}"),),
        width=8,
    ),
    Panel(
        303,
        "Replicas that answer",
        "none",
        Words(
            "1 for each replica that answers, 0 for one that does not.",
            "1.",
            "0: its reads go to the others, or to the primary. ShopReplicaDown fires.",
            "the log of that replica.",
        ),
        (Query(lowest(chosen("shop_replica_up"), *POOL), LEGEND),),
        width=8,
    ),
    Panel(
        304,
        "Reads rejected to spare the primary",
        "ops",
        Words(
            "Reads a second that failed: no replica could answer them, and the primary took no more in their place.",
            "0.",
            f"above {thresholds.REPLICA_READS_REJECTED.text}: customers get 503, and ShopReplicaReadsRejected fires.",
            "replicas that answer, and lag of replicas: they say why.",
        ),
        (
            Query(
                per_second(chosen("shop_replica_reads_total", 'target="rejected"'), *DATABASE),
                "{{context}} {{database}}",
            ),
        ),
        limits=(Limit(thresholds.REPLICA_READS_REJECTED.limit),),
        width=8,
    ),
)
REPLICA_DURATION = (
    Panel(
        401,
        "Wait for a replica, p95",
        "s",
        Words(
            "How long reads with a consistency token waited until a replica had the change; only those that waited.",
            "some 10 ms.",
            "near 0.1 s: they wait as long as they may, and then go to the primary.",
            "lag of replicas below.",
        ),
        (p95("shop_replica_wait_seconds", *DATABASE),),
        width=24,
    ),
)
REPLICA_SATURATION = (
    Panel(
        501,
        "Lag of replicas in seconds",
        "s",
        Words(
            "How long ago the primary first had what the replica has not replayed yet, sampled twice a second.",
            "below 0.1 s.",
            "above ORDER_REPLICA_MOST_LAG_SECONDS (10) it is not read. ShopReplicaLagging fires above"
            f" {thresholds.REPLICA_LAGGING.text} s.",
            "its processor and disk; pg_stat_replication on the primary says where the log waits.",
        ),
        (Query(highest(chosen("shop_replica_lag_seconds"), *POOL), LEGEND),),
        limits=(Limit(thresholds.REPLICA_LAGGING.limit),),
        width=12,
    ),
    Panel(
        502,
        "Lag of replicas in bytes",
        "bytes",
        Words(
            "Bytes of the primary's log that the replica has not replayed.",
            "near 0.",
            "a steady rise: it replays more slowly than the primary writes, or receives nothing. Its slot is dropped at"
            " max_slot_wal_keep_size; then it must be copied anew.",
            "lag in seconds beside it.",
        ),
        (Query(highest(chosen("shop_replica_lag_bytes"), *POOL), LEGEND),),
        width=12,
    ),
)
