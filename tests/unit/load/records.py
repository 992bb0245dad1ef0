"""Records of made-up runs whose properties are known."""

from observability.load.in_flight import InFlightSample
from observability.load.outcomes import OutcomeKind
from observability.load.recorder import RequestRecord


def record(
    index: int = 0, *, intended: float = 0.0, lag: float = 0.0, latency: float = 0.01, outcome: str = "confirmed"
) -> RequestRecord:
    """Make a record that was sent `lag` seconds late and done `latency` seconds after it was due."""
    kind = OutcomeKind(outcome)
    reason = "" if kind in {OutcomeKind.CONFIRMED, OutcomeKind.PENDING} else "SOME_REASON"
    return RequestRecord(index, intended, intended + lag, intended + latency, kind, reason, 201, 3, None)


def steady(*, rate_per_second: float = 100, duration_seconds: float = 10, latency: float = 0.05) -> list[RequestRecord]:
    """Make a run whose orders are evenly spaced and all take the same time."""
    count = int(rate_per_second * duration_seconds)
    return [record(index, intended=index / rate_per_second, latency=latency) for index in range(count)]


def sampled(requests: float, *, count: int = 40) -> list[InFlightSample]:
    """Make samples of a server that always had so many requests in flight."""
    return [InFlightSample(1 + index * 0.2, requests) for index in range(count)]
