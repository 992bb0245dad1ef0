"""What does a call site get? One context's tracer, the metrics and a logger, in one value."""

from dataclasses import dataclass

from opentelemetry.trace import Tracer
from structlog.typing import FilteringBoundLogger

from observability.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Telemetry:
    """The instruments of one context; `context` is the bounded label that tells contexts of one process apart."""

    context: str
    tracer: Tracer
    metrics: Metrics
    log: FilteringBoundLogger
