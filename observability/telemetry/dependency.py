"""What does a client think of the service it calls? The state of its breaker, and the calls that it did not make."""

from collections.abc import Callable, Iterable
from functools import partial

from opentelemetry import trace

from observability.telemetry.telemetry import Telemetry


class DependencyTelemetry:
    """The call sites of the guard in front of one dependency, whose name comes from code."""

    def __init__(self, telemetry: Telemetry, dependency: str) -> None:
        self._telemetry = telemetry
        self._labels = (telemetry.context, dependency)

    def watch(self, state: Callable[[], str], *, states: Iterable[str], reasons: Iterable[str]) -> None:
        """Publish which of the states the breaker is in, read at each scrape; let all series begin at 0."""
        metrics = self._telemetry.metrics
        for name in states:
            metrics.circuit_breaker_state.read_from(partial(_is, state, name), *self._labels, name)
            metrics.circuit_breaker_transitions.add(0, *self._labels, name)
        for reason in reasons:
            metrics.rpc_client_rejections.add(0, *self._labels, reason)

    def changed(self, before: str, after: str) -> None:
        """Record that the breaker changed its state, on the span of the call that made it do so."""
        _, dependency = self._labels
        self._telemetry.metrics.circuit_breaker_transitions.add(1, *self._labels, after)
        states = {
            "shop.dependency": dependency,
            "shop.circuit_breaker.before": before,
            "shop.circuit_breaker.after": after,
        }
        trace.get_current_span().add_event("circuit_breaker.changed", states)
        self._telemetry.log.warning("rpc.circuit_breaker_changed", dependency=dependency, before=before, after=after)

    def rejected(self, reason: str) -> None:
        """Record that a call was not made, on its span."""
        _, dependency = self._labels
        self._telemetry.metrics.rpc_client_rejections.add(1, *self._labels, reason)
        trace.get_current_span().add_event("rpc.rejected", {"shop.dependency": dependency, "shop.reason": reason})


def _is(state: Callable[[], str], name: str) -> float:
    return float(state() == name)
