"""One span, one sample, one log line for every run of a use case, however it ends."""

import asyncio
import json
from io import BytesIO

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from observability.telemetry.setup import Runtime
from observability.telemetry.use_case import use_case
from services.kernel.errors import Internal, Overloaded


def sample(runtime: Runtime, outcome: str) -> float | None:
    """Return the number of samples with an outcome."""
    labels = {"context": "shop", "use_case": "greet", "outcome": outcome}
    return runtime.metrics.registry.get_sample_value("shop_use_case_duration_seconds_count", labels)


async def test_a_result_is_ok(runtime: Runtime, spans: InMemorySpanExporter, logs: BytesIO) -> None:
    """The result passes through; the log line carries the ids of the span."""

    async def greet(name: str) -> str:
        return f"hello {name}"

    assert await use_case(runtime.for_context("shop"), "greet", greet, unexpected=Internal)("you") == "hello you"
    (span,) = spans.get_finished_spans()
    assert (span.name, (span.attributes or {})["shop.outcome"]) == ("shop.greet", "ok")
    assert sample(runtime, "ok") == 1
    line = json.loads(logs.getvalue())
    assert span.context is not None
    assert line["event"] == "shop.use_case_completed"
    assert line["trace_id"] == f"{span.context.trace_id:032x}"


async def test_an_expected_error_is_an_outcome(runtime: Runtime, spans: InMemorySpanExporter) -> None:
    """It passes as it is, and the span is no error."""

    async def greet(_: str) -> str:
        raise Overloaded(1.0)

    with pytest.raises(Overloaded):
        await use_case(runtime.for_context("shop"), "greet", greet, unexpected=Internal)("you")
    assert sample(runtime, "OVERLOADED") == 1
    assert spans.get_finished_spans()[0].status.is_unset


async def test_a_bug_becomes_internal_under_an_error_id(
    runtime: Runtime, spans: InMemorySpanExporter, logs: BytesIO
) -> None:
    """The log has the stack under the same id; the caller sees the id alone."""

    async def greet(_: str) -> str:
        raise KeyError("secret")

    with pytest.raises(Internal) as caught:
        await use_case(runtime.for_context("shop"), "greet", greet, unexpected=Internal)("you")
    found = json.loads(logs.getvalue().splitlines()[0])
    assert (found["event"], found["error_id"]) == ("shop.bug_found", caught.value.error_id)
    assert "KeyError" in found["exception"]
    assert "secret" not in str(caught.value)
    assert sample(runtime, "INTERNAL") == 1
    assert not spans.get_finished_spans()[0].status.is_unset


async def test_a_cancellation_passes_and_is_recorded(runtime: Runtime) -> None:
    """CancelledError passes."""

    async def greet(_: str) -> str:
        await asyncio.Event().wait()  # for ever
        return ""

    greeting = asyncio.create_task(use_case(runtime.for_context("shop"), "greet", greet, unexpected=Internal)("you"))
    await asyncio.sleep(0)
    greeting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await greeting
    assert sample(runtime, "CANCELLED") == 1
