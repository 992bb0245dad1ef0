"""Panels of the background work: sagas, reservations, notifications, invariants and workers."""

from grafana.build.lib.panel import Limit, Panel, Query, Words
from grafana.build.lib.promql import chosen, grown, highest, per_second
from observability.prometheus.build import thresholds

WORK_RATE = (
    Panel(
        23,
        "Orders settled in the background",
        "ops",
        Words(
            "Orders a second that the saga worker confirmed or rejected because the request had not.",
            "0: requests settle their own orders. Some after a crash or a lost answer.",
            "a steady rate: requests fail after their order is stored.",
            "Service, faults of place_order at the same time.",
        ),
        (Query(per_second(chosen("shop_sagas_settled_total"), "context", "state"), "{{context}} {{state}}"),),
        width=6,
        opens="shop-service",
    ),
    Panel(
        24,
        "Notifications sent",
        "ops",
        Words(
            "Order confirmations sent, a second.",
            "one for each order placed.",
            "fewer: customers wait for their confirmation.",
            "notifications not sent, below.",
        ),
        (Query(per_second(chosen("shop_notifications_sent_total"), "context"), "{{context}}"),),
        width=6,
    ),
)
WORK_ERRORS = (
    Panel(
        34,
        "Failures of background work",
        "ops",
        Words(
            "Failed steps of background work a second, by worker. A failed step is retried.",
            "0.",
            f"ShopWorkerFailing fires above {thresholds.WORKER_FAILING.text} a second.",
            "the logs below; if several workers fail at once, Dependencies.",
        ),
        (Query(per_second(chosen("shop_worker_failures_total"), "context", "worker"), "{{context}} {{worker}}"),),
        limits=(Limit(thresholds.WORKER_FAILING.limit),),
        width=6,
        opens="shop-dependencies",
    ),
    Panel(
        38,
        "Workers that ended",
        "none",
        Words(
            "Workers that ended on their own and were restarted.",
            "0.",
            "any: ShopWorkerEnded fires.",
            "the logs below: worker.ended has the stack.",
        ),
        (Query(grown(chosen("shop_worker_ends_total"), "context", "worker"), "{{context}} {{worker}}"),),
        limits=(Limit(1),),
        width=6,
    ),
    Panel(
        35,
        "Invariant violations",
        "none",
        Words(
            "Invariant violations, such as stock sold twice.",
            "0 always.",
            "any: data is wrong. ShopInvariantViolated fires for one row.",
            "plumb verify, which names the invariant and the rows; then stop what writes them.",
        ),
        (Query(highest(chosen("shop_invariant_violations"), "context"), "{{context}}"),),
        limits=(Limit(1),),
        width=6,
    ),
    Panel(
        36,
        "Orders whose stock was released",
        "none",
        Words(
            "Orders whose reserved or sold stock was released again.",
            "as many as customers cancel.",
            "more: orders fail after their stock was reserved.",
            "Service, outcomes of place_order.",
        ),
        (Query(grown(chosen("shop_saga_compensations_total"), "context"), "{{context}}"),),
        width=6,
        opens="shop-service",
    ),
    Panel(
        37,
        "Expired reservations",
        "ops",
        Words(
            "Reservations a second that were neither sold nor released in time.",
            "0.",
            f"orders stop half way: ShopReservationsExpiring fires above {thresholds.RESERVATIONS_EXPIRING.text} a"
            " second.",
            "oldest unfinished order.",
        ),
        (Query(per_second(chosen("shop_reservations_expired_total"), "context"), "{{context}}"),),
        limits=(Limit(thresholds.RESERVATIONS_EXPIRING.limit),),
        width=6,
    ),
)
WORK_DURATION = (
    Panel(
        43,
        "Oldest unfinished order",
        "s",
        Words(
            "Age of the oldest order that is neither confirmed nor rejected.",
            "below a few seconds.",
            f"ShopSagaStuck fires above {thresholds.SAGA_STUCK.text} s.",
            "failures of background work (saga-worker), then Dependencies, RPCs made.",
        ),
        (Query(highest(chosen("shop_saga_oldest_age_seconds"), "context", "shard"), "{{context}} {{shard}}"),),
        limits=(Limit(thresholds.SAGA_STUCK.limit),),
        opens="shop-dependencies",
    ),
)
WORK_SATURATION = (
    Panel(
        55,
        "Unfinished orders",
        "none",
        Words(
            "Orders that are neither confirmed nor rejected, by context and server of orders (shard).",
            "a handful: rate times duration of placing an order.",
            "rising. Many and young is load; few and old are stuck.",
            "oldest unfinished order.",
        ),
        (Query(highest(chosen("shop_sagas"), "context", "shard"), "{{context}} {{shard}}"),),
    ),
    Panel(
        56,
        "Pending reservations",
        "none",
        Words(
            "Reservations that hold stock and are not sold yet.",
            "as many as there are unfinished orders.",
            "more than unfinished orders: stock is held for nothing.",
            "expired reservations.",
        ),
        (Query(highest(chosen("shop_reservations_pending"), "context"), "{{context}}"),),
    ),
    Panel(
        57,
        "Notifications not sent",
        "none",
        Words(
            "Confirmations that are recorded and not sent yet.",
            "a handful.",
            f"ShopNotificationBacklog fires above {thresholds.NOTIFICATION_BACKLOG.text}.",
            "failures of background work: the worker is called send-confirmations.",
        ),
        (Query(highest(chosen("shop_notifications_pending"), "context"), "{{context}}"),),
        limits=(Limit(thresholds.NOTIFICATION_BACKLOG.limit),),
    ),
)
