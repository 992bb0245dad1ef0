"""Batches: bounded memory, counted losses, bounded flushes, and forks."""

import gc
import os
import threading
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import Tracer

from observability.telemetry.sdk.batch_processor import (
    BatchOptions,
    BatchProcessor,
    Exported,
    ExportFailed,
    read_batch_options,
)
from observability.telemetry.sdk.provider import RecordingTracerProvider
from observability.telemetry.sdk.span import RecordingSpan

LONG = 300.0


class Exporter:
    """Keeps batches; it waits, fails or raises as a test says."""

    def __init__(self, error: Exception | None = None) -> None:
        self.batches: list[list[str]] = []
        self.entered, self.let_go = threading.Event(), threading.Event()
        self.let_go.set()
        self.error = error

    def export(self, spans: Sequence[RecordingSpan], *, timeout_seconds: float) -> Exported:
        self.entered.set()
        self.let_go.wait(LONG)
        if self.error:
            raise self.error
        self.batches.append([span.name for span in spans])
        return Exported()

    def shutdown(self) -> None:
        self.let_go.set()


class Counts:
    """Counts spans by what becomes of them."""

    def __init__(self) -> None:
        self.found = dict.fromkeys(("queued", "dropped", "exported", "failed"), 0)

    def queued(self) -> None:
        self.found["queued"] += 1

    def dropped(self) -> None:
        self.found["dropped"] += 1

    def exported(self, spans: int, outcome: Exported) -> None:
        self.found["exported"] += spans

    def failed(self, spans: int, error: Exception) -> None:
        self.found["failed"] += spans


def open_processor(exporter: Exporter, **options: float) -> tuple[RecordingTracerProvider, Tracer, Counts]:
    """Return a provider with the processor, a tracer of it, and the counts."""
    counts = Counts()
    chosen = BatchOptions(**{"delay_seconds": LONG, **options})  # type: ignore[arg-type]
    provider = RecordingTracerProvider(resource=Resource({"service.name": "shop", "service.instance.id": "parent"}))
    provider.add_span_processor(BatchProcessor(exporter, counts=counts, options=chosen))
    return provider, provider.get_tracer("test"), counts


def end(tracer: Tracer, spans: int) -> None:
    """Make spans and end them."""
    for number in range(spans):
        tracer.start_span(str(number)).end()


def test_a_full_batch_is_exported_at_once() -> None:
    exporter = Exporter()
    _, tracer, _ = open_processor(exporter, batch_size=3)
    end(tracer, 3)
    assert exporter.entered.wait(LONG)


def test_less_than_a_batch_is_exported_after_the_delay() -> None:
    exporter = Exporter()
    _, tracer, _ = open_processor(exporter, delay_seconds=0.05)
    end(tracer, 1)
    assert exporter.entered.wait(LONG)


def test_a_full_queue_drops_and_counts() -> None:
    exporter = Exporter()
    exporter.let_go.clear()
    provider, tracer, counts = open_processor(exporter, queue_size=4, batch_size=2)
    end(tracer, 2)
    assert exporter.entered.wait(LONG)
    end(tracer, 18)
    assert counts.found == {"queued": 6, "dropped": 14, "exported": 0, "failed": 0}
    exporter.let_go.set()
    assert provider.shutdown()
    assert counts.found["exported"] == 6


def test_a_flush_exports_all_in_batches() -> None:
    exporter = Exporter()
    provider, tracer, counts = open_processor(exporter, batch_size=4)
    end(tracer, 3)
    assert provider.force_flush(300_000)
    end(tracer, 3)
    assert provider.force_flush(300_000)
    assert exporter.batches == [["0", "1", "2"], ["0", "1", "2"]]
    assert counts.found["exported"] == 6


def test_a_flush_and_a_shutdown_end_at_their_limits() -> None:
    exporter = Exporter()
    exporter.let_go.clear()
    exporter.shutdown = lambda: None  # type: ignore[method-assign]
    provider, tracer, _ = open_processor(exporter)
    end(tracer, 1)
    assert not provider.force_flush(50)
    assert not provider.shutdown(50)
    exporter.let_go.set()


def test_a_span_that_ends_after_the_shutdown_is_dropped() -> None:
    provider, tracer, counts = open_processor(Exporter())
    assert provider.shutdown()
    end(tracer, 1)
    assert counts.found == {"queued": 0, "dropped": 1, "exported": 0, "failed": 0}


def test_a_flush_after_the_shutdown_does_not_wait() -> None:
    provider, _, _ = open_processor(Exporter())
    assert provider.shutdown()
    assert not provider.force_flush(10**9)


@pytest.mark.parametrize("error", [ExportFailed("refused"), ZeroDivisionError()])
def test_a_failed_batch_is_counted_and_the_next_is_exported(error: Exception) -> None:
    exporter = Exporter(error)
    provider, tracer, counts = open_processor(exporter)
    end(tracer, 2)
    assert provider.force_flush(300_000)
    exporter.error = None
    end(tracer, 1)
    assert provider.shutdown()
    assert counts.found == {"queued": 3, "dropped": 0, "exported": 1, "failed": 2}


def test_a_forked_child_exports_its_own_spans_as_another_instance() -> None:
    exporter = Exporter()
    provider, tracer, counts = open_processor(exporter)
    end(tracer, 2)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        with os.fdopen(writing, "w") as answer:
            span = tracer.start_span("of the child")
            span.end()
            is_flushed = provider.force_flush(300_000)
            assert isinstance(span, RecordingSpan)
            answer.write(f"{is_flushed} {exporter.batches} {span.source.resource.attributes['service.instance.id']!r}")
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        said = answer.read()
    os.waitpid(child, 0)
    assert said.startswith("True [['of the child']] ")
    assert "parent" not in said
    assert provider.shutdown()
    assert counts.found["exported"] == 2


def test_a_garbage_collection_may_end_a_span_at_any_time() -> None:
    """Also while a span of the same thread is queued."""
    provider, tracer, counts = open_processor(Exporter())

    def unfinished() -> object:
        with tracer.start_as_current_span("collected"):
            yield

    def collect(*_: object) -> None:
        abandoned = unfinished()
        next(abandoned)  # type: ignore[call-overload]

    gc.callbacks.append(collect)
    try:
        for _ in range(50):
            end(tracer, 10)
            gc.collect(0)
    finally:
        gc.callbacks.remove(collect)
    assert provider.shutdown()
    assert counts.found["dropped"] == 0
    assert counts.found["exported"] > 500


def test_options_come_from_the_variables() -> None:
    variables = {
        "OTEL_BSP_MAX_QUEUE_SIZE": "100",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "200",
        "OTEL_BSP_SCHEDULE_DELAY": "250",
        "OTEL_BSP_EXPORT_TIMEOUT": "1500",
    }
    assert read_batch_options(variables) == BatchOptions(100, 100, 0.25, 1.5)
    assert read_batch_options({}) == BatchOptions(8_192, 512, 5.0, 30.0)
