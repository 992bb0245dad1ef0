"""Telemetry of events: PRODUCER spans at their storing, linked CONSUMER spans, dwell time, relay and consumers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

from opentelemetry.trace import SpanKind, Status, StatusCode

from observability.telemetry.links import PROPAGATOR, link_to
from observability.telemetry.telemetry import Telemetry

# A running consumer polls its log at least this often.
POLL_SECONDS = 2.0
# The SDK's limit is 128 links a span.
MOST_LINKS = 100


class Event(Protocol):
    """The fields of a message that telemetry reads."""

    @property
    def event_id(self) -> UUID:
        """Return the id of the event."""

    @property
    def type(self) -> str:
        """Return its type, such as order.completed."""

    @property
    def occur_time(self) -> datetime:
        """Return when it was stored."""

    @property
    def traceparent(self) -> str:
        """Return the W3C context of the span that stored it."""


def sent(telemetry: Telemetry, *, destination: str, event_type: str) -> str:
    """Record in the current trace that an event is stored for publishing; return the traceparent to store with it."""
    attributes = {
        "messaging.destination.name": destination,
        "messaging.operation.name": "send",
        "shop.event.type": event_type,
        "shop.context": telemetry.context,
    }
    carrier: dict[str, str] = {}
    with telemetry.tracer.start_as_current_span(f"send {destination}", kind=SpanKind.PRODUCER, attributes=attributes):
        PROPAGATOR.inject(carrier)
    return carrier.get("traceparent", "")


class RelayTelemetry:
    """Telemetry of one relay, of the outbox in the database of one `shard` (the number of its server)."""

    def __init__(self, telemetry: Telemetry, *, shard: int = 0) -> None:
        self._telemetry = telemetry
        self._labels = (telemetry.context, str(shard))
        self._depth, self._age_seconds, self._leading, self._epoch = 0.0, 0.0, 0.0, 0.0
        metrics = telemetry.metrics
        metrics.outbox_depth.read_from(lambda: self._depth, *self._labels)
        metrics.outbox_oldest_age.read_from(lambda: self._age_seconds, *self._labels)
        metrics.relay_leader.read_from(lambda: self._leading, *self._labels)
        metrics.relay_epoch.read_from(lambda: self._epoch, *self._labels)
        for count in (metrics.relay_published, metrics.relay_fenced, metrics.relay_republished):
            count.add(0, *self._labels)

    def leads(self, *, leading: bool, epoch: int) -> None:
        """Record whether this relay holds the lease, and the epoch of the lease."""
        self._leading, self._epoch = float(leading), float(epoch)

    def fenced(self) -> None:
        """Count a lease that was lost to another relay."""
        self.leads(leading=False, epoch=0)
        self._telemetry.metrics.relay_fenced.add(1, *self._labels)
        self._telemetry.log.warning("messaging.relay_fenced")

    def backlog(self, depth: int, age_seconds: float) -> None:
        """Record the number of unpublished events, and the age of the oldest in seconds."""
        self._depth, self._age_seconds = float(depth), age_seconds

    def published(self, events: int, *, again: bool) -> None:
        """Count published events; `again`: they are published again because the log had lost events."""
        self._telemetry.metrics.relay_published.add(events, *self._labels)
        if again:
            self._telemetry.metrics.relay_republished.add(events, *self._labels)

    def unreadable(self, event_id: UUID, error: Exception) -> None:
        """Log that this release cannot read a stored event, with the stack."""
        self._telemetry.log.error("messaging.event_unreadable", event_id=str(event_id), exc_info=error)

    def log_was_lost(self) -> None:
        """Log that the event log lost events, so that all are published again."""
        self._telemetry.log.warning("messaging.event_log_lost")


class ConsumerTelemetry:
    """Telemetry of one consumer."""

    def __init__(self, telemetry: Telemetry, *, consumer: str, destination: str) -> None:
        self._telemetry = telemetry
        self._consumer = consumer
        self._destination = destination
        self._lag_events = 0.0
        self._waiting_since: datetime | None = None
        self._poll_time = datetime.now(UTC)
        metrics, context = telemetry.metrics, telemetry.context
        metrics.consumer_lag_events.read_from(lambda: self._lag_events, context, consumer)
        metrics.consumer_lag_seconds.read_from(self._lag_seconds, context, consumer)
        for count in (metrics.consumer_duplicates, metrics.dead_letters, metrics.consumer_rewinds):
            count.add(0, context, consumer)
        metrics.event_dwell.child(context, consumer)

    def lag(self, events: int, waiting_since: datetime | None) -> None:
        """Record the number of unconsumed events, and when the oldest known of them was stored."""
        self._lag_events, self._waiting_since = float(events), waiting_since
        self._poll_time = datetime.now(UTC)

    @contextmanager
    def processing(self, messages: Sequence[Event]) -> Iterator[None]:
        """Observe one batch: a span of its own, linked to the spans that stored its events."""
        attributes: dict[str, str | int] = {
            "messaging.destination.name": self._destination,
            "messaging.operation.name": "process",
            "messaging.consumer.group.name": self._consumer,
            "messaging.batch.message_count": len(messages),
            "shop.context": self._telemetry.context,
        }
        with self._telemetry.tracer.start_as_current_span(
            f"process {self._destination}",
            kind=SpanKind.CONSUMER,
            attributes=attributes,
            links=[link for message in messages[:MOST_LINKS] if (link := link_to(message.traceparent))],
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except BaseException as error:  # a cancelled batch is recorded, too
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(Status(StatusCode.ERROR))
                raise

    def processed(self, messages: Sequence[Event], new: int) -> None:
        """Record each event's dwell time (from storing to consuming), and count the repeats."""
        metrics, context = self._telemetry.metrics, self._telemetry.context
        metrics.consumer_duplicates.add(len(messages) - new, context, self._consumer)
        now = datetime.now(UTC)
        for message in messages:
            seconds = max(0.0, (now - message.occur_time).total_seconds())
            metrics.event_dwell.observe(seconds, context, self._consumer)

    def gave_up(self, message: Event, *, reason: str, error: Exception | None = None) -> None:
        """Record that a message was parked because of its own error; the log line has the stack."""
        self.parked(1)
        self._telemetry.log.error(
            "messaging.event_parked",
            consumer=self._consumer,
            event_id=str(message.event_id),
            event_type=message.type,
            error_type=reason,
            exc_info=error,
        )

    def parked(self, messages: int) -> None:
        """Count dead letters."""
        self._telemetry.metrics.dead_letters.add(messages, self._telemetry.context, self._consumer)

    def rewound(self) -> None:
        """Count a rewind to the beginning of a new log."""
        self._telemetry.metrics.consumer_rewinds.add(1, self._telemetry.context, self._consumer)

    def _lag_seconds(self) -> float:
        """Return the age of the oldest unconsumed event; without one, the age of the last poll when it is late."""
        now = datetime.now(UTC)
        if self._waiting_since is not None:
            return max(0.0, (now - self._waiting_since).total_seconds())
        unseen_seconds = (now - self._poll_time).total_seconds()
        return unseen_seconds if unseen_seconds > POLL_SECONDS else 0.0
