"""Dashboard of the events: from the outbox by the relay to the log and its consumers."""

from grafana.build.lib.panel import Limit, Panel, Query, Words
from grafana.build.lib.promql import chosen, grown, highest, per_second, total
from grafana.build.lib.quantiles import p95, percentiles
from observability.prometheus.build import thresholds
from observability.prometheus.build.objectives import STALE_SECONDS

CONSUMER = ("context", "consumer")
LEGEND = "{{context}} {{consumer}}"
DWELL = "shop_event_dwell_seconds"

FRESHNESS = (
    Panel(
        11,
        "Age of the list of orders",
        "s",
        Words(
            "How old is what customers see when they list their orders?",
            f"below a second; ShopReadModelStale counts the time above {STALE_SECONDS:g} s.",
            "outbox and consumer lag below: which of the two is behind.",
        ),
        (Query(highest('shop_consumer_lag_seconds{consumer="order_summaries"}', "job"), "{{job}}"),),
        limits=(Limit(STALE_SECONDS),),
        width=24,
    ),
)
STREAM_RATE = (
    Panel(
        21,
        "Events published",
        "ops",
        Words(
            "How many events does the relay append to the log?",
            "two for an order: placed, and how it ended.",
            "outbox depth, if it is less than is stored.",
        ),
        (Query(per_second(chosen("shop_relay_published_events_total"), "context"), "{{context}}"),),
        width=6,
    ),
    Panel(
        22,
        "Events consumed",
        "ops",
        Words(
            "How many events do consumers handle?",
            "each consumer as many as are published, on average.",
            "consumer lag, if it is less.",
        ),
        (Query(per_second(chosen(f"{DWELL}_count"), *CONSUMER), LEGEND),),
        width=6,
    ),
)
STREAM_ERRORS = (
    Panel(
        31,
        "Dead letters",
        "none",
        Words(
            "How many events could a consumer not handle, and how many orders could no attempt bring to their end?",
            "0. ShopDeadLettersParked fires for the first within 15 minutes.",
            "the log line messaging.event_parked or order.saga_parked, then plumb deadletters.",
        ),
        (Query(grown(chosen("shop_dead_letters_total"), *CONSUMER, window="15m"), LEGEND),),
        limits=(Limit(1),),
        width=6,
    ),
    Panel(
        32,
        "Events that came again",
        "none",
        Words(
            "How many events had had their effect already?",
            "0 but after a restart; they are recognised and do no harm.",
            "leases lost and logs lost beside it: each makes events come again.",
        ),
        (
            Query(grown(chosen("shop_consumer_duplicates_total"), *CONSUMER), f"{LEGEND} recognised"),
            Query(grown(chosen("shop_relay_republished_events_total"), "context"), "{{context}} published again"),
        ),
        width=6,
    ),
    Panel(
        33,
        "Leases and logs lost",
        "none",
        Words(
            "Did a relay lose its lease at work, or a consumer find another log?",
            "0, but one return to the beginning when a consumer first starts.",
            "epoch of the relay, then the logs of the process.",
        ),
        (
            Query(grown(chosen("shop_relay_fenced_total"), "context"), "{{context}} lost the lease"),
            Query(grown(chosen("shop_consumer_rewinds_total"), *CONSUMER), f"{LEGEND} began again"),
        ),
        width=6,
    ),
)
STREAM_DURATION = (
    Panel(
        41,
        "From storing to effect",
        "s",
        Words(
            "How long is an event on its way?",
            "p95 below a second: the relay looks ten times a second, a consumer waits half of one at most.",
            "age in the outbox if events are published late, consumer lag if they are read late.",
        ),
        percentiles(DWELL),
    ),
    Panel(
        42,
        "From storing to effect, p95 by consumer",
        "s",
        Words(
            "Which consumer is late?",
            "all alike; one above the others is slow itself.",
            "Service of the consumer's process; an exemplar leads to the batch.",
        ),
        (p95(DWELL, *CONSUMER),),
        opens="shop-service",
    ),
)
STREAM_SATURATION = (
    Panel(
        51,
        "Events in the outbox",
        "none",
        Words(
            "How many stored events are not published?",
            "a few at any moment, back to 0 within a second.",
            "relays that lead: 0 means that nobody publishes.",
        ),
        (Query(highest(chosen("shop_outbox_events"), "context"), "{{context}}"),),
        width=6,
    ),
    Panel(
        52,
        "Age in the outbox",
        "s",
        Words(
            "How long has the oldest unpublished event waited?",
            f"below a second. ShopOutboxStalled fires above {thresholds.OUTBOX_STALLED.text} s.",
            "relays that lead, then failures of background work: the worker is called relay.",
        ),
        (Query(highest(chosen("shop_outbox_oldest_age_seconds"), "context"), "{{context}}"),),
        limits=(Limit(thresholds.OUTBOX_STALLED.limit),),
        width=6,
    ),
    Panel(
        53,
        "Events not consumed",
        "none",
        Words(
            "How many events are in the log that a consumer has not read?",
            "a few at any moment; a slope means that it does not keep up.",
            "events consumed against events published.",
        ),
        (Query(highest(chosen("shop_consumer_lag_events"), *CONSUMER), LEGEND),),
        width=6,
    ),
    Panel(
        54,
        "Consumer lag",
        "s",
        Words(
            "How old is the oldest event that a consumer has not read?",
            f"below a second. ShopConsumerLagging fires above {thresholds.CONSUMER_LAGGING.text} s.",
            "failures of background work: the consumer may fail and repeat; else Runtime of its process.",
        ),
        (Query(highest(chosen("shop_consumer_lag_seconds"), *CONSUMER), LEGEND),),
        limits=(Limit(thresholds.CONSUMER_LAGGING.limit),),
        width=6,
        opens="shop-runtime",
    ),
)
STREAM_RESOURCES = (
    Panel(
        61,
        "Relays that lead",
        "none",
        Words(
            "Does one relay hold the lease of each database?",
            "1 always; 0 for seconds while the lease changes hands, never 2.",
            "epoch beside it, then the logs of the processes with a relay.",
        ),
        (Query(total("shop_relay_leader", "context"), "{{context}}"),),
        limits=(Limit(thresholds.RELAY_LEADERLESS.limit, bad_below=True),),
        width=12,
    ),
    Panel(
        62,
        "Epoch of the relay",
        "none",
        Words(
            "How often did the lease change hands?",
            "flat; a step is a restart or a relay that was too slow.",
            "Runtime of the process that lost it: a pause longer than the lease.",
        ),
        (Query(highest(chosen("shop_relay_epoch"), "context", "instance"), "{{context}} {{instance}}"),),
        width=12,
        opens="shop-runtime",
    ),
)
