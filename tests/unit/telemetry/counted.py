"""Metrics of a test: a catalogue of its own, and the value of one of its series."""

import structlog
from opentelemetry.trace import NoOpTracer
from prometheus_client import CollectorRegistry

from observability.telemetry.metrics import Metrics
from observability.telemetry.telemetry import Telemetry


def counting(context: str) -> Telemetry:
    """Return instruments that count, and trace nothing."""
    log = structlog.wrap_logger(structlog.ReturnLogger())
    return Telemetry(context, NoOpTracer(), Metrics(registry=CollectorRegistry()), log)


def counted(telemetry: Telemetry, name: str, **labels: str) -> float:
    """Return the value of a series under exactly these labels. Raises LookupError when there is none."""
    value = telemetry.metrics.registry.get_sample_value(name, labels)
    if value is None:
        raise LookupError(f"there is no {name} with {labels}")
    return value


class Dropped:
    """Lines that a log dropped, by output."""

    def __init__(self) -> None:
        self.lines: dict[str, int] = {}

    def __call__(self, lines: int, output: str = "") -> None:
        """Count."""
        self.lines[output] = self.lines.get(output, 0) + lines

    @property
    def total(self) -> int:
        """Return the number for all outputs."""
        return sum(self.lines.values())
