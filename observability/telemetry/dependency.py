"""Telemetry of the guard of an RPC client: state of the circuit breaker, and calls that were rejected unsent."""

from collections.abc import Callable, Iterable
from functools import partial

from opentelemetry import trace

from observability.telemetry.telemetry import Telemetry


class DependencyTelemetry:
    """Telemetry of the guard in front of one dependency, whose name comes from code."""

    def __init__(self, telemetry: Telemetry, dependency: str) -> None:
        self._telemetry = telemetry
        self._labels = (telemetry.context, dependency)

    def watch(self, state: Callable[[], str], *, states: Iterable[str], reasons: Iterable[str]) -> None:
        """Publish the breaker's state, read at each scrape, and start all series at 0."""
        metrics = self._telemetry.metrics
        for name in states:
            metrics.circuit_breaker_state.read_from(partial(_is, state, name), *self._labels, name)
            metrics.circuit_breaker_transitions.add(0, *self._labels, name)
        for reason in reasons:
            metrics.rpc_client_rejections.add(0, *self._labels, reason)

    def changed(self, before: str, after: str) -> None:
        """Record a change of the breaker's state, also on the span of the call that caused it."""
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
        """Record that a call was rejected, also on its span."""
        _, dependency = self._labels
        self._telemetry.metrics.rpc_client_rejections.add(1, *self._labels, reason)
        trace.get_current_span().add_event("rpc.rejected", {"shop.dependency": dependency, "shop.reason": reason})


def _is(state: Callable[[], str], name: str) -> float:
    return float(state() == name)
