"""Registry of the drill's faults, one for each alert; each restores what it changed."""

from dataclasses import dataclass

from observability.alert_drill.fault_context import Begin
from observability.alert_drill.faults.cache import cache_paused, replica_and_cache_gone
from observability.alert_drill.faults.database import (
    closed,
    lease_of_dead_relay,
    locked,
    order_stuck,
    replay_paused,
    replica_ended,
    stock_changed_by_hand,
    unreadable_event,
)
from observability.alert_drill.faults.monitoring import (
    alertmanager_gone,
    job_removed,
    no_fault,
    notifications_refused,
    wrong_rule,
)
from observability.alert_drill.faults.process import (
    cpu_contention,
    cpu_stall,
    flooded,
    killed,
    lists_behind_a_lock,
    mail_client_cancels,
    mail_client_leaks,
    mail_folder_gone,
    orders_behind_a_lock,
    receiver_paused,
    reservations_abandoned,
)
from observability.alert_drill.faults.rpc import connections_cut, too_few_connections
from observability.alert_drill.faults.shards import mover_killed

# An alert on an age waits for the age at any scale: an order is stuck after two minutes.
LONGEST_SECONDS = 240.0


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault: the alert that must fire, a description, and a context manager that applies it."""

    alert: str
    words: str
    begin: Begin


# Faults of a platform with one server of orders, the default.
FAULTS = (
    Fault("ShopWatchdog", "nothing: it always fires", no_fault),
    Fault("ShopOrderPlacementErrors", "the database `order` takes no connections", closed("order")),
    Fault("ShopOrderPlacementSlow", "the table `items` is locked", locked("inventory", "items")),
    Fault("ShopReadModelStale", "the read model's cursor is locked", locked("order_read", "consumer_cursors")),
    Fault("ShopServiceDown", "notification is killed", killed("notification")),
    Fault("ShopOrderAbsent", "the job `order` is taken out of the configuration", job_removed("order")),
    Fault("ShopInventoryAbsent", "the job `inventory` is taken out", job_removed("inventory")),
    Fault("ShopNotificationAbsent", "the job `notification` is taken out", job_removed("notification")),
    Fault("ShopCircuitOpened", "inventory is killed", killed("inventory")),
    Fault("ShopCallsRepeated", "the connections to inventory are reset repeatedly", connections_cut),
    Fault(
        "ShopCallsThrottled", "inventory has one connection to its database, and `items` is locked", too_few_connections
    ),
    Fault("ShopRequestsShed", "the table `orders` is locked while many customers read an order", orders_behind_a_lock),
    Fault("ShopCacheCold", "the cache is paused while many customers read", cache_paused),
    Fault("ShopPoolExhausted", "the table of the lists is locked while customers read theirs", lists_behind_a_lock),
    Fault("ShopPoolWaiting", "the table of the lists is locked while customers read theirs", lists_behind_a_lock),
    Fault("ShopReplicaDown", "the replica's server is ended", replica_ended),
    Fault("ShopReplicaLagging", "the replica receives, and replays nothing", replay_paused),
    Fault(
        "ShopReplicaReadsRejected",
        "the replica's server is ended and the cache is paused, while many customers read",
        replica_and_cache_gone,
    ),
    Fault(
        "ShopEventLoopLagging",
        "notification is paused for a quarter of a second, repeatedly",
        cpu_stall("notification"),
    ),
    Fault("ShopCpuSaturated", "notification's metrics are read without a pause", flooded("notification")),
    Fault("ShopRunQueueWaiting", "three busy programs share notification's core", cpu_contention("notification")),
    Fault("ShopMemoryHigh", "the mail client keeps the buffer of each message", mail_client_leaks),
    Fault("ShopOutboxStalled", "the event log's head is locked", locked("event_log", "event_log_head")),
    Fault("ShopRelayLeaderless", "a dead relay holds the lease", lease_of_dead_relay),
    Fault("ShopConsumerLagging", "notification's cursor is locked", locked("notification", "consumer_cursors")),
    Fault("ShopDeadLettersParked", "an unreadable event is in the log", unreadable_event),
    Fault("ShopSagaStuck", "the row of one SKU is locked, and a customer has ordered it", order_stuck),
    Fault("ShopReservationsExpiring", "reservations are abandoned", reservations_abandoned),
    Fault("ShopInvariantViolated", "one number of the stock is changed by hand", stock_changed_by_hand),
    Fault("ShopWorkerFailing", "the database `notification` takes no connections", closed("notification")),
    Fault("ShopWorkerEnded", "the mail client raises a cancellation", mail_client_cancels),
    Fault("ShopNotificationBacklog", "there is a file where the folder of confirmations was", mail_folder_gone),
    Fault("ShopSpansDropped", "the receiver of the spans is paused", receiver_paused),
    Fault("ShopSpanExportFailing", "the receiver of the spans is paused", receiver_paused),
    Fault("ShopScrapeFailing", "the receiver is paused", receiver_paused),
    Fault("ShopRuleEvaluationFailing", "a rule that cannot be evaluated is added", wrong_rule),
    Fault("ShopAlertSendingFailing", "one of two Alertmanagers is gone", alertmanager_gone),
    Fault("ShopAlertmanagerNotifyingFailing", "one receiver rejects notifications", notifications_refused),
)
# Faults of a platform with several servers of orders.
SHARD_FAULTS = (
    Fault(
        "ShopShardMoveInterrupted",
        "the process that moves a logical shard is killed before it copies",
        mover_killed("shard_move.publish.after_commit"),
    ),
    Fault(
        "ShopShardsUnavailable",
        "the process that moves a logical shard is killed after it has fenced the source",
        mover_killed("shard_move.fence_source.after_commit"),
    ),
)
# Alerts without a case, each with the reason; other tests break the real thing.
NO_COLLECTOR = "there is no Collector on this machine's platform: see `make test-stack`"
NOT_DRILLED = dict.fromkeys(
    ("ShopCollectorSpansRefused", "ShopCollectorSpansFailed", "ShopCollectorSpansDropped"), NO_COLLECTOR
)
