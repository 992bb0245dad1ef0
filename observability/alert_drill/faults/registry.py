"""Faults of the alert drill, one for each alert; what a fault touches is restored afterwards."""

from dataclasses import dataclass

from observability.alert_drill.fault_context import Begin
from observability.alert_drill.faults.cache import shoppers_without_a_cache
from observability.alert_drill.faults.database import (
    closed,
    event_nobody_can_read,
    lease_left_behind,
    locked,
    one_order_stuck,
    stock_changed_by_hand,
)
from observability.alert_drill.faults.monitoring import (
    alertmanager_gone,
    forgotten,
    nothing_wrong,
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
    receiver_stands_still,
    reservations_abandoned,
)
from observability.alert_drill.faults.rpc import connections_cut, too_few_connections

# An alert on an age waits for the age, at any pace: an order is stuck after two minutes.
LONGEST_SECONDS = 240.0


@dataclass(frozen=True, slots=True)
class Fault:
    """An alert, what is done so that it fires, in words and in deed."""

    alert: str
    words: str
    begin: Begin


FAULTS = (
    Fault("ShopWatchdog", "nothing: it always fires", nothing_wrong),
    Fault("ShopOrderPlacementErrors", "the database `order` takes no connections", closed("order")),
    Fault("ShopOrderPlacementSlow", "the table `items` is locked", locked("inventory", "items")),
    Fault("ShopReadModelStale", "the read model's cursor is locked", locked("order_read", "consumer_cursors")),
    Fault("ShopServiceDown", "notification is killed", killed("notification")),
    Fault("ShopOrderAbsent", "the job `order` is taken out of the configuration", forgotten("order")),
    Fault("ShopInventoryAbsent", "the job `inventory` is taken out", forgotten("inventory")),
    Fault("ShopNotificationAbsent", "the job `notification` is taken out", forgotten("notification")),
    Fault("ShopCircuitOpened", "inventory is killed", killed("inventory")),
    Fault("ShopCallsRepeated", "the connections to inventory are cut again and again", connections_cut),
    Fault(
        "ShopCallsThrottled", "inventory has one connection to its database, and `items` is locked", too_few_connections
    ),
    Fault("ShopRequestsShed", "the table `orders` is locked while many look at an order", orders_behind_a_lock),
    Fault("ShopCacheCold", "many look, and the cache stands still", shoppers_without_a_cache),
    Fault("ShopPoolExhausted", "lists are asked for behind a lock", lists_behind_a_lock),
    Fault("ShopPoolWaiting", "lists are asked for behind a lock", lists_behind_a_lock),
    Fault(
        "ShopEventLoopLagging",
        "notification is stopped for a quarter second, again and again",
        cpu_stall("notification"),
    ),
    Fault("ShopCpuSaturated", "notification is asked for its metrics without a pause", flooded("notification")),
    Fault("ShopRunQueueWaiting", "three busy programs share notification's core", cpu_contention("notification")),
    Fault("ShopMemoryHigh", "the mail client keeps the buffer of each message", mail_client_leaks),
    Fault("ShopOutboxStalled", "the event log's head is locked", locked("event_log", "event_log_head")),
    Fault("ShopRelayLeaderless", "a relay that is no more holds the lease", lease_left_behind),
    Fault("ShopConsumerLagging", "notification's cursor is locked", locked("notification", "consumer_cursors")),
    Fault("ShopDeadLettersParked", "an event that nobody can read stands in the log", event_nobody_can_read),
    Fault("ShopSagaStuck", "the row of one SKU is locked, and somebody has ordered it", one_order_stuck),
    Fault("ShopReservationsExpiring", "stock is set aside and forgotten", reservations_abandoned),
    Fault("ShopInvariantViolated", "one number of the stock is changed by hand", stock_changed_by_hand),
    Fault("ShopWorkerFailing", "the database `notification` takes no connections", closed("notification")),
    Fault("ShopWorkerEnded", "the mail client lets out a cancellation", mail_client_cancels),
    Fault("ShopNotificationBacklog", "there is a file where the folder of confirmations was", mail_folder_gone),
    Fault("ShopSpansDropped", "whoever takes the spans stands still", receiver_stands_still),
    Fault("ShopSpanExportFailing", "whoever takes the spans stands still", receiver_stands_still),
    Fault("ShopScrapeFailing", "the receiver stands still", receiver_stands_still),
    Fault("ShopRuleEvaluationFailing", "a rule that cannot be evaluated is added", wrong_rule),
    Fault("ShopAlertSendingFailing", "one of two Alertmanagers is gone", alertmanager_gone),
    Fault("ShopAlertmanagerNotifyingFailing", "one address takes no notification", notifications_refused),
)
# Alerts without a row, each with the reason; the tests of the stack make them fire, with a real Collector.
NO_COLLECTOR = "there is no Collector on this machine's platform: see `make test-stack`"
ELSEWHERE = dict.fromkeys(
    ("ShopCollectorSpansRefused", "ShopCollectorSpansFailed", "ShopCollectorSpansDropped"), NO_COLLECTOR
)
