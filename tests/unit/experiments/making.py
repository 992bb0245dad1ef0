"""A small finished trial in a folder, with numbers written by hand and without a platform."""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import orjson

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.comparison import Estimate
from observability.analysis.spans import SpanKind
from observability.analysis.verdict import Answer, Verdict
from observability.analysis.whatif import Goodput, Prediction
from observability.experiments.experiment import HEALTHY, Demand, Experiment, ExperimentKind, Metric, Setting, Truth
from observability.experiments.runner.artifacts import BlockRecord, Folder, Plan, Side, Sizes
from observability.experiments.runner.block import Block
from observability.experiments.runner.claim import claim_of
from observability.experiments.runner.scoring import score

BEGAN = 1_000.0
REQUESTS = 40
TRUTH = Truth(Bottleneck.N_PLUS_ONE, "stock", "SELECT items")
PREDICTION = Prediction(
    predictor="by hand",
    before={"p50": 0.15, "p95": 0.24},
    after={"p50": Estimate(0.06, 0.05, 0.07), "p95": Estimate(0.09, 0.08, 0.11)},
    ratio={"p50": Estimate(0.4, 0.35, 0.45), "p95": Estimate(0.375, 0.35, 0.4)},
    utilisation_before=0.7,
    utilisation_after=0.4,
    trusted=True,
)
FEWER_LOST = replace(
    PREDICTION, goodput=Goodput(Estimate(4.4, 4.0, 4.8), Estimate(9.9, 9.0, 10.8), Estimate(2.25, 2.0, 2.5))
)
RIGHT = Verdict(
    answer=Answer.FOUND,
    bottleneck=Bottleneck.N_PLUS_ONE,
    service="stock",
    operation="SELECT items",
    share=0.42,
    confidence="high",
    reasons=("it is sent <4> times in a row",),
    prediction=PREDICTION,
    requests=REQUESTS,
)
NOTHING_FOUND = Verdict(answer=Answer.NONE, prediction=PREDICTION, requests=REQUESTS)
CANNOT_TELL = Verdict(answer=Answer.CANNOT_TELL, requests=REQUESTS)


def experiment(kind: ExperimentKind = ExperimentKind.BOTTLENECK, truth: Truth | None = TRUTH) -> Experiment:
    """Return an experiment that draws the same each time."""
    return Experiment(
        name="line_by_line",
        kind=kind,
        hypothesis="Each line costs a statement.",
        fix="Send one statement.",
        symptoms=("statements grow with lines",),
        owner_alert="none",
        owner_alert_because="Nothing is exhausted.",
        draw=lambda _source: Setting(
            place="in stock", before=HEALTHY, after=HEALTHY, demand=Demand(utilisation=0.7), truth=truth
        ),
    )


def block(
    pair: int, side: Side, latencies: Sequence[float], *, own: float | None = None, attempt: int = 1, why: str = ""
) -> BlockRecord:
    """One run of a block; `why` makes it invalid."""
    made = Block(
        latencies_seconds=tuple(latencies),
        unanswered=0,
        invalid_because=(why,) if why else (),
        cpu_seconds={"shop": 3.0, "stock": 1.5},
        elapsed_seconds=9.0,
        own_seconds=own,
        orders=100,
    )
    return BlockRecord(pair=pair, side=side, seed=1_000 + pair, seal="", attempt=attempt, block=made)


def blocks(
    after: float, *, own_after: float | None = None, wobble: Sequence[float] = (1.0, 1.02, 0.98)
) -> list[BlockRecord]:
    """Three pairs whose p50 is about 150 ms and whose p95 is about 240 ms before, and `after` times as much after."""
    evenly = [0.050 + 0.002 * number for number in range(101)]
    own_before = None if own_after is None else 1.0
    made = []
    for pair, factor in enumerate(wobble, start=1):
        made.append(block(pair, "before", [each * factor for each in evenly], own=own_before))
        made.append(block(pair, "after", [each * after for each in evenly], own=own_after))
    return made


def with_goodput(records: Sequence[BlockRecord], *, before: Sequence[int], after: Sequence[int]) -> list[BlockRecord]:
    """Return the same blocks, of ten seconds each, with so many orders of use in each pair."""
    good = {"before": before, "after": after}
    return [
        replace(
            each,
            block=replace(
                each.block,
                good_orders=good[each.side][each.pair - 1],
                counted_seconds=10.0,
                answers={"sold": good[each.side][each.pair - 1], "sold too late": 7},
            ),
        )
        for each in records
    ]


def finished_trial(
    path: Path,
    *,
    verdict: Verdict = RIGHT,
    kind: ExperimentKind = ExperimentKind.BOTTLENECK,
    truth: Truth | None = TRUTH,
    metric: Metric = Metric.LATENCY,
    following: Verdict | None = None,
) -> Folder:
    """Write a trial of three pairs, whose second one took two attempts."""
    tried = replace(experiment(kind, truth), metric=metric)
    folder = Folder(path)
    folder.write("claim.json", claim_of(tried, tried.draw(random.Random(1))))
    folder.write("environment.json", {"Python": "3.11.7", "processors": "2"})
    folder.write("plan.json", plan())
    write_observation(folder.observations / "1f2e3d4c")
    folder.write("diagnosis.json", verdict)
    folder.write("seal.json", {"sha256_of_diagnosis": folder.hash_of_diagnosis()})
    seal = folder.seal()
    told = (
        with_goodput(blocks(0.5), before=(40, 50, 45), after=(80, 100, 90)) if metric is Metric.GOODPUT else blocks(0.5)
    )
    counted = [replace(each, seal=seal, attempt=2 if each.pair == 2 else 1) for each in told]
    for each in counted:
        folder.write(f"blocks/{each.pair:02}-{each.side}.json", each)
    for side in ("before", "after"):
        failed = block(2, side, [0.1, 0.2], why=f"the {side} generator was late")
        folder.write(f"blocks/02-{side}-invalid-1.json", replace(failed, seal=seal))
    folder.write("score.json", score(tried, truth, verdict, counted, attempts=8, following=following))
    return folder


def plan() -> Plan:
    """Three pairs, the second the other way round."""
    return Plan(
        experiment="line_by_line",
        seed=7,
        place="in stock",
        setting_sha256="",
        sizes=Sizes(observe_seconds=5.0, block_seconds=8.0, warm_up_seconds=1.0, pairs=3),
        rate_per_second=12.5,
        expected_utilisation=0.7,
        sides=(("before", "after"), ("after", "before"), ("before", "after")),
    )


def write_observation(folder: Path) -> None:
    """Write 40 requests, and five seconds of what was busy meanwhile."""
    folder.mkdir(parents=True)
    _write_lines(folder / "traces.jsonl", [request_line(number) for number in range(REQUESTS)])
    _write_lines(
        folder / "processes.jsonl",
        [
            {"at": BEGAN + second, "process": name, "cpu_seconds": rate * second, "wait_seconds": None}
            for second in range(6)
            for name, rate in (("shop", 0.5), ("stock", 0.25))
        ],
    )
    _write_lines(folder / "sessions.jsonl", [{"at": BEGAN + 0.5 + second, "sessions": []} for second in range(5)])
    _write_lines(
        folder / "scrapes.jsonl",
        [{"at": BEGAN + second, "target": "stock", "text": pool_page(waited=0.25 * second)} for second in range(6)],
    )
    seen = {
        "from": BEGAN + 1,
        "until": BEGAN + 60,
        "scheduled_rate_per_second": 12.5,
        "latencies_seconds": [0.1, 0.2],
    }
    (folder / "requests.json").write_bytes(orjson.dumps(seen))


def request_line(number: int) -> dict[str, object]:
    """One request of 100 ms and more: its shop calls stock, which sends four statements in a row, 10 ms each."""
    start = BEGAN + 1 + number
    took = 0.1 + number / 1_000
    trace = f"{number + 1:032x}"

    def span(own: str, parent: str, name: str, kind: SpanKind, begins: float, ends: float) -> dict[str, object]:
        return {
            "traceId": trace,
            "spanId": own * 16,
            "parentSpanId": parent * 16,
            "name": name,
            "kind": kind.value,
            "startTimeUnixNano": str(round((start + begins) * 1e9)),
            "endTimeUnixNano": str(round((start + ends) * 1e9)),
        }

    shop = [
        span("a", "", "POST /orders", SpanKind.SERVER, 0, took),
        span("b", "a", "shop.Stock/Reserve", SpanKind.CLIENT, 0.01, 0.09),
    ]
    stock = [
        span("c", "b", "shop.Stock/Reserve", SpanKind.SERVER, 0.02, 0.08),
        *(
            span(digit, "c", "SELECT items", SpanKind.CLIENT, 0.03 + 0.01 * at, 0.04 + 0.01 * at)
            for at, digit in enumerate("1234")
        ),
        span("d", "c", "process orders", SpanKind.CONSUMER, 1.0, 1.1),
    ]
    return {"resourceSpans": [_resource("shop", shop), _resource("stock", stock)]}


def pool_page(*, waited: float, calls: float | None = None, held: float = 0.0, limit: float = 4) -> str:
    """Return the metrics of a process with one pool, after these seconds of waiting; a wait takes 10 ms by default."""
    count = waited * 100 if calls is None else calls
    labels = '{db_client_connection_pool_name="main"}'
    histograms = (("wait", waited), ("use", held))
    lines = []
    for what, total in histograms:
        name = f"db_client_connection_{what}_time_seconds"
        bucket = f'{name}_bucket{{db_client_connection_pool_name="main",le="+Inf"}} {count}'
        lines += [f"# TYPE {name} histogram", bucket, f"{name}_count{labels} {count}", f"{name}_sum{labels} {total}"]
    lines += ["# TYPE db_client_connection_max gauge", f"db_client_connection_max{labels} {limit}", "# EOF"]
    return "\n".join(lines) + "\n"


def _resource(service: str, spans: list[dict[str, object]]) -> dict[str, object]:
    attributes = [{"key": "service.name", "value": {"stringValue": service}}]
    return {"resource": {"attributes": attributes}, "scopeSpans": [{"spans": spans}]}


def _write_lines(path: Path, documents: Sequence[object]) -> None:
    path.write_bytes(b"".join(orjson.dumps(each, option=orjson.OPT_APPEND_NEWLINE) for each in documents))
