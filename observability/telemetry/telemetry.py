"""The instruments of one context: its tracer, the metrics and its logger."""

from dataclasses import dataclass

import structlog
from opentelemetry.trace import NoOpTracer, Tracer
from prometheus_client import CollectorRegistry
from structlog.typing import FilteringBoundLogger

from observability.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Telemetry:
    """The instruments of one context.

    context: name of the context, a label of its metrics and an attribute of its spans.
    tracer: makes its spans.
    metrics: the metrics of the process.
    log: logger with the context's name.
    """

    context: str
    tracer: Tracer
    metrics: Metrics
    log: FilteringBoundLogger


def unobserved(context: str) -> Telemetry:
    """Return instruments that record nothing, for commands that use a service's code."""
    metrics = Metrics(registry=CollectorRegistry(), enabled=False)
    return Telemetry(context, NoOpTracer(), metrics, structlog.wrap_logger(structlog.ReturnLogger()))
