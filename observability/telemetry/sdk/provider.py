"""A tracer provider: the sampler, limits, resource and processors that the tracers of a process share."""

import os
import random
from collections.abc import Callable
from functools import partial
from time import monotonic
from uuid import uuid4

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NoOpTracer, Tracer, TracerProvider
from opentelemetry.util.types import Attributes

from observability.telemetry.sdk.fork import call_in_children
from observability.telemetry.sdk.limits import SpanLimits, read_limits
from observability.telemetry.sdk.sampler import Sampler, read_sampler
from observability.telemetry.sdk.span import Processor, SpanSource
from observability.telemetry.sdk.tracer import RecordingTracer


class RecordingTracerProvider(TracerProvider):
    """Makes tracers whose spans go to the added processors.

    What is not given is read from OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG and the variables of limits; with
    OTEL_SDK_DISABLED=true nothing is recorded. A forked child is another instance of the
    service, so it gets a new service.instance.id.
    """

    def __init__(
        self,
        *,
        resource: Resource,
        sampler: Sampler | None = None,
        limits: SpanLimits | None = None,
        random_bits: Callable[[int], int] = random.getrandbits,
    ) -> None:
        self._is_disabled = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
        self._processors: list[Processor] = []
        self._resource = resource
        self._limits = limits or read_limits(os.environ)
        self._make_tracer = partial(
            RecordingTracer, sampler=sampler or read_sampler(os.environ), random_bits=random_bits
        )
        self._tracers: dict[InstrumentationScope, RecordingTracer] = {}
        call_in_children(self._become_another)

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> Tracer:
        """Return the tracer of an instrumentation scope."""
        if self._is_disabled:
            return NoOpTracer()
        version = instrumenting_library_version or ""
        scope = InstrumentationScope(instrumenting_module_name or "", version, schema_url, attributes)
        if scope not in self._tracers:
            source = SpanSource(self._resource, scope, self._limits, self._processors)
            self._tracers.setdefault(scope, self._make_tracer(source))
        return self._tracers[scope]

    def add_span_processor(self, processor: Processor) -> None:
        """Let a processor take the spans that end from now on."""
        self._processors.append(processor)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Export the spans that ended; return whether that was done in time."""
        return self._each("force_flush", timeout_millis)

    def shutdown(self, timeout_millis: int = 30_000) -> bool:
        """Export the spans that ended and stop; return whether that was done in time."""
        return self._each("shutdown", timeout_millis)

    def _each(self, method: str, timeout_millis: int) -> bool:
        deadline, is_done = monotonic() + timeout_millis / 1_000, True
        for processor in self._processors:
            left_millis = max(0, round((deadline - monotonic()) * 1_000))
            is_done = getattr(processor, method)(left_millis) and is_done
        return is_done

    def _become_another(self) -> None:
        self._resource = self._resource.merge(Resource({"service.instance.id": str(uuid4())}))
        for tracer in self._tracers.values():
            tracer.source.resource = self._resource
