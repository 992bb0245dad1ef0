"""Tests of the sampled profile: it keeps failed and slow traces, and a share of the others."""

from dataclasses import dataclass
from random import Random

import pytest

from tests.stack.collector import SAMPLED, Collector, collector
from tests.stack.conftest import Measured
from tests.stack.foreign_spans import ERROR, ForeignSpan, send
from tests.stack.jaeger import Jaeger
from tests.stack.processes import eventually

PERCENT = 10
SLOW_SECONDS = 0.5
FAILED, SLOW, REST = 50, 50, 1000
BATCH = 100
# Four standard deviations of a binomial with 1,000 draws at 10 %.
LEAST, MOST = 62, 138


@dataclass(frozen=True, slots=True)
class Sampled:
    """What was sent, by trace id, and what Jaeger has of it."""

    failed: set[str]
    slow: set[str]
    rest: set[str]
    kept: set[str]
    counted: float


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory, search: Jaeger) -> Sampled:
    random = Random(20261125)

    def spans(count: int, **fields: object) -> list[ForeignSpan]:
        trace_ids = [f"{random.getrandbits(128):032x}" for _ in range(count)]
        return [ForeignSpan(trace_id=trace_id, **fields) for trace_id in trace_ids]  # type: ignore[arg-type]  # by name

    failed, slow = spans(FAILED, status=ERROR), spans(SLOW, duration_seconds=SLOW_SECONDS * 1.25)
    rest = spans(REST, duration_seconds=SLOW_SECONDS * 0.8)
    more = {
        "COLLECTOR_DECISION_WAIT": "1s",
        "COLLECTOR_KEPT_PERCENT": str(PERCENT),
        "COLLECTOR_SLOW_MILLISECONDS": str(int(SLOW_SECONDS * 1000)),
    }
    everything = [*failed, *slow, *rest]
    random.shuffle(everything)
    with collector(tmp_path_factory.mktemp("sampled"), SAMPLED, jaeger=search.otlp, more=more) as taken:
        for start in range(0, len(everything), BATCH):
            send(taken.otlp_http, everything[start : start + BATCH])
        eventually(lambda: _judged(taken) >= len(everything), what="every trace is judged")
        name = "traces_span_metrics_calls"
        eventually(lambda: taken.span_metric(name, service_name="foreign") >= len(everything), what="all are counted")
        counted = taken.span_metric(name, service_name="foreign")
    # The Collector has ended, and with it whatever it still held: Jaeger has all that it will get.
    return Sampled(ids(failed), ids(slow), ids(rest), kept=set(search.search("foreign")), counted=counted)


def ids(spans: list[ForeignSpan]) -> set[str]:
    return {span.trace_id for span in spans}


def _judged(taken: Collector) -> float:
    return taken.counted("otelcol_processor_tail_sampling_global_count_traces_sampled")


def test_every_trace_that_failed_is_kept(sampled: Sampled) -> None:
    assert sampled.failed - sampled.kept == set()


def test_every_trace_that_was_slow_is_kept(sampled: Sampled) -> None:
    assert sampled.slow - sampled.kept == set()


def test_a_share_of_other_traces_is_kept(sampled: Sampled, measured: Measured) -> None:
    kept = len(sampled.rest & sampled.kept)
    measured(
        f"sampled at {PERCENT} %: {kept} of {REST} traces kept that neither failed nor were slow; "
        f"an exemplar of such a request leads to no trace in {100 * (1 - kept / REST):.1f} % of cases"
    )
    assert LEAST <= kept <= MOST


def test_every_span_is_counted_before_sampling(sampled: Sampled) -> None:
    assert sampled.counted == FAILED + SLOW + REST
