"""Dashboard of the background work: sagas, reservations, notifications, invariants and workers."""

from grafana.build.lib.panel import Limit, Panel, Query, Words
from grafana.build.lib.promql import chosen, grown, highest, per_second
from observability.prometheus.build import thresholds

WORK_RATE = (
    Panel(
        23,
        "Orders settled in the background",
        "ops",
        Words(
            "How many orders did the saga worker settle, because the request had not?",
            "0: requests settle their own orders. Some after a crash or a lost answer.",
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
            "How many confirmations are sent?",
            "one for each order that was placed.",
            "notifications not sent below, if it is less.",
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
            "Which worker fails, and repeats its step?",
            f"0. ShopWorkerFailing fires above {thresholds.WORKER_FAILING.text} a second.",
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
            "Which worker ended before it was told to, and was started again?",
            "0. ShopWorkerEnded fires for one.",
            "the logs below: worker.ended has the stack.",
        ),
        (Query(grown(chosen("shop_worker_ends_total"), "context", "worker"), "{{context}} {{worker}}"),),
        limits=(Limit(1),),
        width=6,
    ),
    Panel(
        35,
        "Rows that break an invariant",
        "none",
        Words(
            "Do the books add up?",
            "0 always. ShopInvariantViolated fires for one row.",
            "plumb verify, which names the invariant and the rows; then stop what writes them.",
        ),
        (Query(highest(chosen("shop_invariant_violations"), "context"), "{{context}}"),),
        limits=(Limit(1),),
        width=6,
    ),
    Panel(
        36,
        "Orders whose stock was given back",
        "none",
        Words(
            "How many orders were undone?",
            "as many as customers cancel.",
            "Service, outcomes of place_order.",
        ),
        (Query(grown(chosen("shop_saga_compensations_total"), "context"), "{{context}}"),),
        width=6,
        opens="shop-service",
    ),
    Panel(
        37,
        "Reservations that ran out",
        "ops",
        Words(
            "How many reservations were neither sold nor released in time?",
            f"0. ShopReservationsExpiring fires above {thresholds.RESERVATIONS_EXPIRING.text} a second.",
            "age of the oldest order on its way: orders are left half way.",
        ),
        (Query(per_second(chosen("shop_reservations_expired_total"), "context"), "{{context}}"),),
        limits=(Limit(thresholds.RESERVATIONS_EXPIRING.limit),),
        width=6,
    ),
)
WORK_DURATION = (
    Panel(
        43,
        "Oldest order on its way",
        "s",
        Words(
            "How long has the oldest order been neither confirmed nor rejected?",
            f"below a few seconds. ShopSagaStuck fires above {thresholds.SAGA_STUCK.text} s.",
            "failures of background work (saga-worker), then Dependencies, RPCs made.",
        ),
        (Query(highest(chosen("shop_saga_oldest_age_seconds"), "context"), "{{context}}"),),
        limits=(Limit(thresholds.SAGA_STUCK.limit),),
        opens="shop-dependencies",
    ),
)
WORK_SATURATION = (
    Panel(
        55,
        "Orders on their way",
        "none",
        Words(
            "How many orders are neither confirmed nor rejected?",
            "rate times duration of placing an order: a handful.",
            "oldest order on its way: many and young is load, few and old is stuck.",
        ),
        (Query(highest(chosen("shop_sagas"), "context"), "{{context}}"),),
    ),
    Panel(
        56,
        "Reservations that hold stock",
        "none",
        Words(
            "How much is set aside and not sold?",
            "as many as there are orders on their way.",
            "reservations that ran out, if these are more than orders on their way.",
        ),
        (Query(highest(chosen("shop_reservations_pending"), "context"), "{{context}}"),),
    ),
    Panel(
        57,
        "Notifications not sent",
        "none",
        Words(
            "How many customers wait for their confirmation?",
            f"a handful. ShopNotificationBacklog fires above {thresholds.NOTIFICATION_BACKLOG.text}.",
            "failures of background work: the worker is called send-confirmations.",
        ),
        (Query(highest(chosen("shop_notifications_pending"), "context"), "{{context}}"),),
        limits=(Limit(thresholds.NOTIFICATION_BACKLOG.limit),),
    ),
)
