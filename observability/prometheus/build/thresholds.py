"""Thresholds of the cause-based alerts; dashboards draw their limit lines from the same numbers."""

from dataclasses import dataclass

from observability.prometheus.build.pace import MINUTE

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """Threshold of an alert.

    limit: the alert fires when its value is beyond
    for_seconds: how long the value must stay beyond the limit
    window_seconds: window of a rate
    keep_seconds: how long the alert keeps firing afterwards, for values that flap
    """

    limit: float
    for_seconds: int
    window_seconds: int = 5 * MINUTE
    keep_seconds: int = 0

    @property
    def text(self) -> str:
        """Return the limit as PromQL writes it."""
        return str(int(self.limit)) if float(self.limit).is_integer() else str(self.limit)


# Waits for a connection that timed out, a second: 6 in five minutes.
POOL_EXHAUSTED = Threshold(limit=0.02, for_seconds=0, keep_seconds=5 * MINUTE)
# Mean wait for a connection, in seconds. A healthy pool gives one within a millisecond.
POOL_WAITING = Threshold(limit=0.05, for_seconds=2 * MINUTE, keep_seconds=5 * MINUTE)
# Connections taken a second, below which a mean says nothing.
POOL_WAITING_LEAST_RATE = 0.2
# Share of wake-ups later than EVENT_LOOP_LATE_SECONDS, a bound of the catalogue.
EVENT_LOOP_LAGGING = Threshold(limit=0.1, for_seconds=5 * MINUTE, keep_seconds=5 * MINUTE)
EVENT_LOOP_LATE_SECONDS = 0.1
# Wake-ups a second; a healthy event loop has ten.
EVENT_LOOP_LEAST_RATE = 0.1
# Cores: one interpreter holds one lock.
CPU_SATURATED = Threshold(limit=0.9, for_seconds=10 * MINUTE, keep_seconds=5 * MINUTE)
# Share of the time that the event loop's thread could run and had no processor.
RUN_QUEUE_WAITING = Threshold(limit=0.5, for_seconds=10 * MINUTE, keep_seconds=5 * MINUTE)
# Bytes resident, under the limits of docker compose: of a process with orders in it, and of the others.
MEMORY_HIGH = Threshold(limit=176 * MEBIBYTE, for_seconds=10 * MINUTE)
MEMORY_HIGH_OTHERS_LIMIT = 120 * MEBIBYTE

# Times that a breaker opened.
CIRCUIT_OPENED = Threshold(limit=0, for_seconds=0)
# Share of the calls answered that are a second or later attempt: half of what the clients' budget lets through.
CALLS_REPEATED = Threshold(limit=0.05, for_seconds=2 * MINUTE)
# Repeated attempts a second, below which a share says nothing.
CALLS_REPEATED_LEAST_RATE = 0.02
# Throttled calls a second: not sent, so that an overloaded server has fewer to reject.
CALLS_THROTTLED = Threshold(limit=0.02, for_seconds=1 * MINUTE)
# Share of requests that are rejected.
REQUESTS_SHED = Threshold(limit=0.01, for_seconds=1 * MINUTE)
# Rejected requests a second, below which a share says nothing.
REQUESTS_SHED_LEAST_RATE = 0.02

# Replicas that answer.
REPLICA_DOWN = Threshold(limit=0, for_seconds=1 * MINUTE)
# Seconds: half of the lag at which a replica is not read any more.
REPLICA_LAGGING = Threshold(limit=5, for_seconds=2 * MINUTE)

# Reads a second that neither a replica nor the primary takes: 6 in five minutes.
REPLICA_READS_REJECTED = Threshold(limit=0.02, for_seconds=1 * MINUTE, keep_seconds=5 * MINUTE)

# Seconds since a move of a logical shard began that is not complete and that no process makes.
SHARD_MOVE_INTERRUPTED = Threshold(limit=0, for_seconds=1 * MINUTE)
# Logical shards that no server accepts; a hand-over takes less than a second.
SHARDS_UNAVAILABLE = Threshold(limit=0, for_seconds=30)

# Share of the keys asked of a cache that were not there, and how many connections it keeps busy to read them.
CACHE_COLD = Threshold(limit=0.5, for_seconds=5 * MINUTE, keep_seconds=5 * MINUTE)
CACHE_COLD_LEAST_BUSY = 0.05

# Seconds that the oldest unpublished event has waited.
OUTBOX_STALLED = Threshold(limit=30, for_seconds=1 * MINUTE)
# Relays that hold the lease.
RELAY_LEADERLESS = Threshold(limit=0, for_seconds=1 * MINUTE)
# Age in seconds of the oldest event that is not consumed.
CONSUMER_LAGGING = Threshold(limit=30, for_seconds=2 * MINUTE)
DEAD_LETTERS_PARKED = Threshold(limit=0, for_seconds=0, window_seconds=15 * MINUTE)
# Seconds: an order is tried again after at most 60 s.
SAGA_STUCK = Threshold(limit=120, for_seconds=1 * MINUTE)
# Reservations a second: 30 in five minutes.
RESERVATIONS_EXPIRING = Threshold(limit=0.1, for_seconds=2 * MINUTE)
# Rows, counted once a minute.
INVARIANT_VIOLATED = Threshold(limit=0, for_seconds=2 * MINUTE)
# Steps a second: a step that fails at once is repeated at least every 5 s, one that hangs every 36 s.
WORKER_FAILING = Threshold(limit=0.02, for_seconds=2 * MINUTE)
# Workers that ended without being stopped.
WORKER_ENDED = Threshold(limit=0, for_seconds=0, window_seconds=15 * MINUTE)
# Notifications recorded and not sent.
NOTIFICATION_BACKLOG = Threshold(limit=100, for_seconds=5 * MINUTE)

# Spans a second.
SPANS_DROPPED = Threshold(limit=0.1, for_seconds=2 * MINUTE)
SPAN_EXPORT_FAILING = Threshold(limit=0.1, for_seconds=2 * MINUTE)
COLLECTOR_SPANS_LOST = Threshold(limit=0.1, for_seconds=2 * MINUTE)

SERVICE_DOWN = Threshold(limit=0, for_seconds=1 * MINUTE)
SERVICE_ABSENT = Threshold(limit=0, for_seconds=5 * MINUTE)
SCRAPE_FAILING = Threshold(limit=0, for_seconds=5 * MINUTE)
RULE_EVALUATION_FAILING = Threshold(limit=0, for_seconds=2 * MINUTE)
# Requests that failed by alerts sent; a request carries up to 64 alerts.
ALERT_SENDING_FAILING = Threshold(limit=0.01, for_seconds=5 * MINUTE)
ALERT_SENDING_LEAST_RATE = 0.01
# Notifications a second. A failed one counts when its retries are given up, which for a ticket is every five minutes: a
# window as short as that would be empty now and again, and the alert would never fire.
ALERTMANAGER_NOTIFYING_FAILING = Threshold(limit=0, for_seconds=5 * MINUTE, window_seconds=15 * MINUTE)
