"""A tracer: starts spans, as children of the current span and where the sampler says so."""

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from types import TracebackType
from typing import Any, TypeAlias

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags, Tracer
from opentelemetry.util.types import Attributes

from observability.telemetry.sdk.sampler import Sampler
from observability.telemetry.sdk.span import RecordingSpan, SpanSource

SAMPLED, RANDOM = 0x01, 0x02
FLAGS = tuple(map(TraceFlags, range(4)))
# The parameters of Tracer.start_span, in its sequence.
StartArguments: TypeAlias = tuple[
    str, Context | None, SpanKind, Attributes, Sequence[Link] | None, int | None, bool, bool
]


class RecordingTracer(Tracer):
    """Starts the spans of one instrumentation scope."""

    def __init__(self, source: SpanSource, *, sampler: Sampler, random_bits: Callable[[int], int]) -> None:
        self.source = source
        self._sampler = sampler
        self._random_bits = random_bits

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> Span:
        """Start a span whose parent is the current one, or that of `context`."""
        current = trace.get_current_span(context).get_span_context()
        parent = current if current.is_valid else None
        trace_id = parent.trace_id if parent else self._new_id(128)
        sampled = self._sampler(parent, trace_id)
        flags = SAMPLED * sampled | (parent.trace_flags & RANDOM if parent else RANDOM)
        state = parent.trace_state if parent else None
        own = SpanContext(trace_id, self._new_id(64), False, FLAGS[flags], state)
        if not sampled:
            return NonRecordingSpan(own)
        return RecordingSpan(
            self.source,
            name,
            own,
            parent,
            kind,
            attributes,
            links,
            start_time,
            record_exception,
            set_status_on_exception,
        )

    def start_as_current_span(  # type: ignore[override]  # the API's type is a private class
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
    ) -> "CurrentSpan":
        """Return a context manager, or a decorator, that starts a span and makes it the current one."""
        arguments = (name, context, kind, attributes, links, start_time, record_exception, set_status_on_exception)
        return CurrentSpan(self, arguments, end_on_exit=end_on_exit)

    def _new_id(self, bits: int) -> int:
        while not (drawn := self._random_bits(bits)):
            pass
        return drawn


class CurrentSpan:
    """A block in which a new span is the current one; as a decorator, each call of the function is such a block."""

    __slots__ = ("_arguments", "_end_on_exit", "_span", "_token", "_tracer")

    def __init__(self, tracer: RecordingTracer, arguments: StartArguments, *, end_on_exit: bool) -> None:
        self._tracer = tracer
        self._arguments = arguments
        self._end_on_exit = end_on_exit

    def __enter__(self) -> Span:
        """Start the span and make it the current one."""
        self._span = self._tracer.start_span(*self._arguments)
        self._token = attach(trace.set_span_in_context(self._span))
        return self._span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None:
        """Make the span before the current one again, note the exception of the block, and end the span."""
        detach(self._token)
        span = self._span
        # GeneratorExit and CancelledError are no errors of the block.
        if isinstance(error, Exception) and isinstance(span, RecordingSpan) and span.is_recording():
            span.note(error)
        if self._end_on_exit:
            span.end()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, run in a new span at each call."""

        @wraps(function)
        def in_span(*args: object, **kwargs: object) -> object:
            with self._anew():
                return function(*args, **kwargs)

        @wraps(function)
        async def in_span_async(*args: object, **kwargs: object) -> object:
            with self._anew():
                return await function(*args, **kwargs)

        return in_span_async if inspect.iscoroutinefunction(function) else in_span

    def _anew(self) -> "CurrentSpan":
        return CurrentSpan(self._tracer, self._arguments, end_on_exit=self._end_on_exit)
