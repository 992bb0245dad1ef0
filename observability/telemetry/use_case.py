"""Telemetry of use cases: a span, a duration sample and a log line for each run."""

from collections.abc import Awaitable, Callable, Coroutine
from time import perf_counter
from typing import Any, TypeVar
from uuid import uuid4

from opentelemetry.trace import Span, Status, StatusCode

from observability.telemetry.links import link_to
from observability.telemetry.telemetry import Telemetry

Command = TypeVar("Command")
Result = TypeVar("Result")


def use_case(
    telemetry: Telemetry,
    name: str,
    handler: Callable[[Command], Awaitable[Result]],
    *,
    unexpected: Callable[[str], Exception],
    identity: tuple[str, str] | None = None,
    origin: Callable[[Command], str] | None = None,
) -> Callable[[Command], Coroutine[Any, Any, Result]]:
    """Return the handler with telemetry for every run.

    An error with a `reason` is an expected outcome and passes unchanged. Any other exception is a bug: it is logged
    with its stack and a new error id, and `unexpected(error_id)` is raised instead. `identity` is a span attribute and
    the field of the result or the error that it is read from, such as ("shop.order.id", "order_id"). `origin` returns
    the traceparent of the span that caused an asynchronous command; the run's span is linked to it.
    """
    run = UseCaseRun(telemetry, name, unexpected, identity)

    async def observed(command: Command) -> Result:
        link = link_to(origin(command)) if origin else None
        with telemetry.tracer.start_as_current_span(
            f"{telemetry.context}.{name}",
            links=[link] if link else [],
            attributes={"shop.context": telemetry.context, "shop.use_case": name},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            return await run(span, handler(command))

    return observed


class UseCaseRun:
    """Awaits a handler and records its outcome."""

    def __init__(
        self,
        telemetry: Telemetry,
        name: str,
        unexpected: Callable[[str], Exception],
        identity: tuple[str, str] | None,
    ) -> None:
        self._telemetry = telemetry
        self._name = name
        self._unexpected = unexpected
        self._identity = identity

    async def __call__(self, span: Span, handling: Awaitable[Result]) -> Result:
        """Return the handler's result or raise its error, after recording the outcome."""
        started = perf_counter()
        outcome = "CANCELLED"
        try:
            result = await handling
            outcome = "ok"
            self._identify(span, result)
        except Exception as error:
            outcome = getattr(error, "reason", "INTERNAL")
            self._identify(span, error)
            if not hasattr(error, "reason"):
                raise self._report_bug(span, error) from error
            raise
        finally:
            self._record(span, outcome, perf_counter() - started)
        return result

    def _identify(self, span: Span, source: object) -> None:
        if self._identity and (value := getattr(source, self._identity[1], None)) is not None:
            span.set_attribute(self._identity[0], str(value))

    def _report_bug(self, span: Span, error: Exception) -> Exception:
        error_id = str(uuid4())
        event = f"{self._telemetry.context}.bug_found"
        self._telemetry.log.error(event, use_case=self._name, error_id=error_id, exc_info=error)
        span.set_attribute("shop.error_id", error_id)
        return self._unexpected(error_id)

    def _record(self, span: Span, outcome: str, seconds: float) -> None:
        telemetry = self._telemetry
        span.set_attribute("shop.outcome", outcome)
        if outcome in {"INTERNAL", "CANCELLED"}:
            span.set_attribute("error.type", outcome)
            span.set_status(Status(StatusCode.ERROR))
        telemetry.metrics.use_case_duration.observe(seconds, telemetry.context, self._name, outcome)
        event = f"{telemetry.context}.use_case_completed"
        telemetry.log.info(event, use_case=self._name, outcome=outcome, duration_seconds=round(seconds, 6))
