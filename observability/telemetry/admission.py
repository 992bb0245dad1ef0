"""Telemetry of the admission controller: decisions by stage and reason, and the slots in use."""

from collections.abc import Callable

from observability.telemetry.telemetry import Telemetry

STAGES = ("http", "grpc")
DECISIONS = ("admitted", "deadline", "limit", "loop_lag")


class AdmissionTelemetry:
    """Metrics of one context's admission controller."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def watch(self, *, active: Callable[[], int], waiting: Callable[[], int], slots: int, waiting_limit: int) -> None:
        """Publish the limits and how much of them is in use, read at each scrape; start all series at 0."""
        metrics, context = self._telemetry.metrics, self._telemetry.context
        metrics.admission_in_flight.read_from(lambda: float(active()), context, "active")
        metrics.admission_in_flight.read_from(lambda: float(waiting()), context, "waiting")
        metrics.admission_limit.read_from(lambda: float(slots), context, "active")
        metrics.admission_limit.read_from(lambda: float(waiting_limit), context, "waiting")
        for stage in STAGES:
            for decision in DECISIONS:
                metrics.admission_decisions.add(0, context, stage, decision)

    def decided(self, stage: str, decision: str) -> None:
        """Count one request. There is no span: creating one would cost more than the rejection."""
        self._telemetry.metrics.admission_decisions.add(1, self._telemetry.context, stage, decision)
