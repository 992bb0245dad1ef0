"""What does a call site get? One context's tracer, the metrics and a logger, in one value."""

from dataclasses import dataclass

import structlog
from opentelemetry.trace import NoOpTracer, Tracer
from prometheus_client import CollectorRegistry
from structlog.typing import FilteringBoundLogger

from observability.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Telemetry:
    """The instruments of one context; `context` is the bounded label that tells contexts of one process apart."""

    context: str
    tracer: Tracer
    metrics: Metrics
    log: FilteringBoundLogger


def unobserved(context: str) -> Telemetry:
    """Return instruments that record nothing, for a command that uses a service's mechanisms and is no service."""
    metrics = Metrics(registry=CollectorRegistry(), enabled=False)
    return Telemetry(context, NoOpTracer(), metrics, structlog.wrap_logger(structlog.ReturnLogger()))
