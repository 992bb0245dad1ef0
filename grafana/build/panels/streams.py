"""Panels of the events: from the outbox by the relay to the log and its consumers."""

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
            "Age of the data that customers see when they list their orders.",
            "below a second.",
            f"ShopReadModelStale counts the time above {STALE_SECONDS:g} s.",
            "outbox and consumer lag below: they show which of the two is behind.",
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
            "Events that the relay appends to the log, a second.",
            "two for each order: placed, and confirmed or rejected.",
            "fewer than are stored, so that the outbox fills up.",
            "events in the outbox and relay leaders, below.",
        ),
        (Query(per_second(chosen("shop_relay_published_events_total"), "context"), "{{context}}"),),
        width=6,
    ),
    Panel(
        22,
        "Events consumed",
        "ops",
        Words(
            "Events that each consumer handles, a second.",
            "as many as are published, on average, for each consumer.",
            "fewer: the consumer falls behind.",
            "consumer lag.",
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
            "Events that a consumer could not handle, and orders that no attempt could finish, in 15 minutes.",
            "0.",
            "any: ShopDeadLettersParked fires for the first.",
            "the log line messaging.event_parked or order.saga_parked, then plumb deadletters.",
        ),
        (Query(grown(chosen("shop_dead_letters_total"), *CONSUMER, window="15m"), LEGEND),),
        limits=(Limit(1),),
        width=6,
    ),
    Panel(
        32,
        "Duplicate events",
        "none",
        Words(
            "Events that were delivered again after their effect; consumers recognise them and skip them.",
            "0 except after a restart.",
            "a steady rate: a relay or a consumer repeats its work. The data stays right.",
            "lost leases and rewinds beside it: each makes events come again.",
        ),
        (
            Query(grown(chosen("shop_consumer_duplicates_total"), *CONSUMER), f"{LEGEND} recognised"),
            Query(grown(chosen("shop_relay_republished_events_total"), "context"), "{{context}} published again"),
        ),
        width=6,
    ),
    Panel(
        33,
        "Lost leases and rewinds",
        "none",
        Words(
            "Relays that lost their lease while at work, and consumers that started over because the log was replaced.",
            "0, except one rewind when a consumer first starts.",
            "any other: a relay was too slow, or the log lost its events.",
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
        "Event delay",
        "s",
        Words(
            "Time from storing an event to its effect in a consumer.",
            "p95 below a second: the relay looks ten times a second, a consumer waits half of one at most.",
            "rising: events are published or consumed late.",
            "age in the outbox if they are published late, consumer lag if they are consumed late.",
        ),
        percentiles(DWELL),
    ),
    Panel(
        42,
        "Event delay, p95 by consumer",
        "s",
        Words(
            "95th percentile of the event delay, by consumer.",
            "all alike.",
            "one above the others: that consumer is slow. All: the relay is.",
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
            "Stored events that are not published yet, by context and server of orders (shard).",
            "a few at any moment, back to 0 within a second.",
            "rising: the relay does not run or cannot keep up.",
            "relay leaders: at 0 no relay publishes.",
        ),
        (Query(highest(chosen("shop_outbox_events"), "context", "shard"), "{{context}} {{shard}}"),),
        width=6,
    ),
    Panel(
        52,
        "Age in the outbox",
        "s",
        Words(
            "How long the oldest unpublished event has waited.",
            "below a second.",
            f"ShopOutboxStalled fires above {thresholds.OUTBOX_STALLED.text} s.",
            "relay leaders, then failures of background work: the worker is called relay.",
        ),
        (Query(highest(chosen("shop_outbox_oldest_age_seconds"), "context", "shard"), "{{context}} {{shard}}"),),
        limits=(Limit(thresholds.OUTBOX_STALLED.limit),),
        width=6,
    ),
    Panel(
        53,
        "Events not consumed",
        "none",
        Words(
            "Events in the log that a consumer has not consumed yet.",
            "a few at any moment.",
            "rising: the consumer does not keep up.",
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
            "Age of the oldest event that a consumer has not consumed yet.",
            "below a second.",
            f"ShopConsumerLagging fires above {thresholds.CONSUMER_LAGGING.text} s.",
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
        "Relay leaders",
        "none",
        Words(
            "Relays that hold the lease, by context and server of orders (shard).",
            "1 each, always; 0 for seconds while the lease passes to another relay.",
            "0 for longer: no event is published. 2 must never happen.",
            "epoch beside it, then the logs of the processes with a relay.",
        ),
        (Query(total("shop_relay_leader", "context", "shard"), "{{context}} {{shard}}"),),
        limits=(Limit(thresholds.RELAY_LEADERLESS.limit, bad_below=True),),
        width=12,
    ),
    Panel(
        62,
        "Epoch of the relay",
        "none",
        Words(
            "Number of times that the lease passed to another relay.",
            "flat; a step is a restart.",
            "step after step: relays lose their lease because they are too slow.",
            "Runtime of the process that lost it: a pause longer than the lease.",
        ),
        (
            Query(
                highest(chosen("shop_relay_epoch"), "context", "shard", "instance"),
                "{{context}} {{shard}} {{instance}}",
            ),
        ),
        width=12,
        opens="shop-runtime",
    ),
)
