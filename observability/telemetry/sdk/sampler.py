"""Samplers: functions that decide at its start whether a span is recorded."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from opentelemetry.trace import SpanContext

# Takes the parent's context (None for the first span of a trace) and the trace id; returns whether to record.
Sampler: TypeAlias = Callable[[SpanContext | None, int], bool]

# A ratio is compared with the low 64 bits of a trace id, as other SDKs do, so that all decide alike.
_LOW_BITS = (1 << 64) - 1


def read_sampler(environ: Mapping[str, str]) -> Sampler:
    """Return the sampler that OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG name."""
    name = environ.get("OTEL_TRACES_SAMPLER", "parentbased_always_on").lower()
    root: Sampler
    match name.removeprefix("parentbased_"):
        case "always_on":
            root = always_on
        case "always_off":
            root = always_off
        case "traceidratio":
            root = trace_id_ratio(float(environ.get("OTEL_TRACES_SAMPLER_ARG", "1")))
        case _:
            raise ValueError(f"OTEL_TRACES_SAMPLER={name} is no sampler")
    return parent_based(root) if name.startswith("parentbased_") else root


def always_on(_parent: SpanContext | None, _trace_id: int) -> bool:
    """Record every span."""
    return True


def always_off(_parent: SpanContext | None, _trace_id: int) -> bool:
    """Record no span."""
    return False


def trace_id_ratio(ratio: float) -> Sampler:
    """Return a sampler that records this share of all traces, from 0 to 1."""
    bound = round(ratio * (_LOW_BITS + 1))
    return lambda _parent, trace_id: trace_id & _LOW_BITS < bound


def parent_based(root: Sampler) -> Sampler:
    """Return a sampler that decides as the span's parent was decided, and asks `root` where there is none."""

    def sampler(parent: SpanContext | None, trace_id: int) -> bool:
        return root(parent, trace_id) if parent is None else parent.trace_flags & 1 == 1

    return sampler
