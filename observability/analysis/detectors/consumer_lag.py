"""Detector of consumer lag: messages take effect later and later, since their consumer is slower than their producer.

A message is a span that a consumer's span links to, or a producer's span that is its parent. The consumer's utilisation
is the time that it takes for the messages that are sent in one second. While the lag grows it is above 1. A constant
lag, as of a consumer that polls or runs from time to time, is not reported. Nor is a lag that grows while the consumer
is mostly idle: the messages are delayed before they reach it.

No request waits for a consumer, so the fix is predicted as messages consumed a second, and not as latency.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.conventions.operations import operation_of
from observability.analysis.detectors.candidate import Candidate
from observability.analysis.effects import grows, takes_effect
from observability.analysis.observation import Observation
from observability.analysis.openmetrics import Labels
from observability.analysis.requests import Request
from observability.analysis.spans import Span, SpanKind
from observability.analysis.trees import Node
from observability.analysis.whatif import Saving, changed_goodput, stretch_of_queue

_NANOSECONDS = 1e9
# With a busy consumer and a clear ratio beside it, so few in a quarter tell that the lag grows.
_FEWEST_PER_QUARTER = 6
# A message that takes effect within this time is not late.
_LEAST_LAG_SECONDS = 1.0
# Least share of the time in which the consumer has spans. Between two batches it reads its position and the next
# messages, mostly outside of spans.
_LEAST_BUSY = 0.50
# Highest utilisation of the larger number of consumers, or of larger batches, that the fix aims at.
_TARGET_UTILISATION = 0.70
_LAG_METRIC = re.compile(r"\w*(consumer|records|queue|topic|subscription)\w*_(lag|backlog|depth)\w*", re.IGNORECASE)

Operation = tuple[str, str]
SpanId = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Message:
    """A message that was consumed: the span that sent it, and when its consumer's span began and ended."""

    span: Span
    taken: int
    done: int

    @property
    def sent(self) -> int:
        """When it was sent, in nanoseconds since the Unix epoch as all times are."""
        return self.span.end_nanoseconds


def find_consumer_lag(observation: Observation, requests: Sequence[Request]) -> list[Candidate]:
    """Return a candidate for each consumer that falls behind while it works; with the fix it keeps up."""
    sent = _sent(observation)
    return [
        _candidate(operation, messages, _arriving(messages, sent.values()), observation, requests)
        for operation, messages in _messages(observation, sent).items()
        if _falls_behind(messages)
    ]


def _messages(observation: Observation, sent: Mapping[SpanId, Span]) -> dict[Operation, list[_Message]]:
    """Return the messages by service and operation of their consumer, in the order in which they were sent."""
    found: dict[Operation, list[_Message]] = defaultdict(list)
    for node in _nodes(observation):
        span = node.span
        if not (takes_effect(node) or span.kind is SpanKind.CONSUMER):
            continue
        named = {(link.trace_id, link.span_id) for link in span.links} | {(span.trace_id, span.parent_span_id)}
        found[span.service, operation_of(span)] += (
            _Message(message, span.start_nanoseconds, span.end_nanoseconds)
            for span_id in named
            if (message := sent.get(span_id)) is not None
        )
    return {operation: sorted(each, key=lambda message: message.sent) for operation, each in found.items()}


def _sent(observation: Observation) -> dict[SpanId, Span]:
    """Return the spans that may be messages: those of producers, and those that consumers link to."""
    linked = {(link.trace_id, link.span_id) for node in _nodes(observation) for link in node.span.links}
    return {
        span_id: node.span
        for node in _nodes(observation)
        if (span_id := (node.span.trace_id, node.span.span_id)) in linked or node.span.kind is SpanKind.PRODUCER
    }


def _nodes(observation: Observation) -> Iterator[Node]:
    traces = {trace.trace_id: trace for trace in (*observation.traces, *observation.later_traces)}
    for trace in traces.values():
        for top in (*trace.roots, *trace.orphans):
            yield from top.walk()


def _falls_behind(messages: Sequence[_Message]) -> bool:
    lags = [(each.done - each.sent) / _NANOSECONDS for each in messages]
    return (
        grows(lags, fewest=_FEWEST_PER_QUARTER)
        and median(lags[-len(lags) // 4 :]) >= _LEAST_LAG_SECONDS
        and _busy_share(messages) >= _LEAST_BUSY
        and _utilisation(messages) > 1
    )


def _busy_share(messages: Sequence[_Message]) -> float:
    """Return the share of the time from the first message to the last in which the consumer processed any."""
    spans = sorted({(each.taken, each.done) for each in messages})
    busy, until = 0, spans[0][0]
    for start, end in spans:
        busy += max(0, end - max(start, until))
        until = max(until, end)
    return busy / max(1, until - spans[0][0])


def _utilisation(messages: Sequence[_Message]) -> float:
    """Return the consumer's time for the messages that are sent in one second, from the first quarter to the last."""
    size = len(messages) // 4
    first, last = messages[:size], messages[-size:]
    sent = fmean(each.sent for each in last) - fmean(each.sent for each in first)
    done = fmean(each.done for each in last) - fmean(each.done for each in first)
    return done / sent if sent > 0 else 0.0


def _arriving(messages: Sequence[_Message], sent: Iterable[Span]) -> float:
    """Return how many messages a second are sent to the consumer, with those that it has not reached yet.

    The consumer may get only a part of the messages of a kind: this part is taken from those sent until its last one.
    """
    kinds = {_kind(each.span) for each in messages}
    ends = sorted(span.end_nanoseconds for span in sent if _kind(span) in kinds)
    passed = sum(end <= messages[-1].sent for end in ends)
    return len(messages) / passed * (len(ends) - 1) * _NANOSECONDS / (ends[-1] - ends[0])


def _kind(span: Span) -> Operation:
    return span.service, operation_of(span)


def _candidate(
    operation: Operation,
    messages: Sequence[_Message],
    arriving: float,
    observation: Observation,
    requests: Sequence[Request],
) -> Candidate:
    service, name = operation
    none = (0.0,) * len(requests)
    # It falls behind, so at least as many arrive as it consumes; by chance the estimate may be lower.
    seconds = (messages[-1].sent - messages[0].sent) / _NANOSECONDS
    consumed = (len(messages) - 1) / seconds / _utilisation(messages)
    arriving = max(arriving, consumed)
    late = sorted(messages, key=lambda each: each.sent - each.done)
    return Candidate(
        bottleneck=Bottleneck.CONSUMER_LAG,
        service=service,
        operation=name,
        saving=Saving(work=none, wait=none),
        evidence=tuple(_evidence(operation, messages, observation, arriving=arriving, consumed=consumed)),
        trace_ids=tuple(dict.fromkeys(each.span.trace_id for each in late[:3])),
        predictor="utilisation: all messages that arrive are consumed",
        goodput=changed_goodput(consumed, arriving, requests=len(messages), seconds=len(messages) / arriving),
    )


def _evidence(
    operation: Operation, messages: Sequence[_Message], observation: Observation, *, arriving: float, consumed: float
) -> Iterator[str]:
    service, name = operation
    size = len(messages) // 4
    early, late = (
        median((each.done - each.sent) / _NANOSECONDS for each in part) for part in (messages[:size], messages[-size:])
    )
    yield (
        f"messages take effect at {name!r} of {service} {early:.1f} s after they were sent at first, and {late:.1f} s "
        f"in the end ({len(messages)} messages)"
    )
    yield (
        f"{arriving:.1f} arrive a second and {consumed:.1f} are consumed, while the consumer works "
        f"{_busy_share(messages):.0%} of the time"
    )
    yield _fix(arriving, consumed)
    yield from _growing_metrics(observation, service)


def _fix(arriving: float, consumed: float) -> str:
    """Return a sentence on the fix: how many consumers keep up, and how long a message then waits for one (M/M/c)."""
    utilisation = arriving / consumed
    count = math.ceil(utilisation / _TARGET_UTILISATION)
    used = utilisation / count
    wait = (stretch_of_queue(count, used) - 1) / consumed
    return (
        f"{count} times as many consumers would work {used:.0%} of the time, and a message would wait {wait:.1g} s for "
        "one on average; larger batches do the same"
    )


def _growing_metrics(observation: Observation, service: str) -> Iterator[str]:
    """Yield a sentence for each backlog gauge of the service whose mean rises from one third of the run to the next."""
    series: dict[tuple[str, Labels], list[float]] = defaultdict(list)
    for each in observation.during_requests().scrapes:
        if each.target != service:
            continue
        for name, values in each.scrape.samples.items():
            if _LAG_METRIC.fullmatch(name):
                for labels, value in values.items():
                    series[name, labels].append(value)
    for (name, _), levels in series.items():
        size = len(levels) // 3
        if size and (means := _means(levels, size)) == sorted(set(means)):
            yield f"the metric {name} rises from {levels[0]:.3g} to {levels[-1]:.3g}"


def _means(values: Sequence[float], size: int) -> list[float]:
    """Return the mean of each third of the values."""
    return [fmean(values[number * size : (number + 1) * size]) for number in range(3)]
