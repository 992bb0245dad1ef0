"""Who is let in, and who is not? Decisions by stage and reason, and the places that are taken."""

from collections.abc import Callable

from observability.telemetry.telemetry import Telemetry

STAGES = ("http", "grpc")
DECISIONS = ("admitted", "deadline", "limit", "loop_lag")


class AdmissionTelemetry:
    """The call sites of one context's door."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def watch(
        self, *, at_work: Callable[[], int], elsewhere: Callable[[], int], places: int, places_elsewhere: int
    ) -> None:
        """Publish the places and how many are taken, read at each scrape; let all series begin at 0."""
        metrics, context = self._telemetry.metrics, self._telemetry.context
        metrics.admission_in_flight.read_from(lambda: float(at_work()), context, "here")
        metrics.admission_in_flight.read_from(lambda: float(elsewhere()), context, "elsewhere")
        metrics.admission_limit.read_from(lambda: float(places), context, "here")
        metrics.admission_limit.read_from(lambda: float(places_elsewhere), context, "elsewhere")
        for stage in STAGES:
            for decision in DECISIONS:
                metrics.admission_decisions.add(0, context, stage, decision)

    def decided(self, stage: str, decision: str) -> None:
        """Count one request. There is no span: to make one would cost more than to turn it away."""
        self._telemetry.metrics.admission_decisions.add(1, self._telemetry.context, stage, decision)
