"""A result as a demo makes it, from a seed and without a platform."""

import random
from dataclasses import replace

from observability.analysis.quantiles import quantile, quantile_interval
from observability.analysis.waterfall import BarSegment
from observability.report.demo.result import (
    DemoResult,
    GateFigure,
    IntegrityCheck,
    OrderFigures,
    Phases,
    Points,
    QuantileFigure,
    RedRow,
    RedTable,
    SideEffectFigure,
    TraceIntegrity,
    Waterfall,
)
from observability.report.waterfall_rows import WaterfallRow


def sample_result(*, orders: int = 1_500, seed: int = 1) -> DemoResult:
    """Return a valid run of 60 s; every tenth order is rejected."""
    source = random.Random(seed)
    at_seconds = tuple(sorted(source.uniform(0, 60) for _ in range(orders)))
    latency_seconds = tuple(0.008 + source.lognormvariate(-4.2, 0.5) for _ in range(orders))
    outcome = tuple("rejected" if number % 10 == 9 else "confirmed" for number in range(orders))
    rejected = outcome.count("rejected")
    return DemoResult(
        run_id="20260102-030405-abcdef",
        started_at="2026-01-02T03:04:05Z",
        mode="services",
        bus="postgres",
        rate_per_second=25.0,
        capacity_per_second=50.0,
        duration_seconds=60.0,
        seed=seed,
        environment={"Python": "3.11.2", "processors": "2"},
        phases=Phases(6.1, 60.4, 0.4, 2.3),
        orders=OrderFigures(
            scheduled=orders,
            sent=orders,
            confirmed=orders - rejected,
            pending=0,
            rejected={"OUT_OF_STOCK": rejected} if rejected else {},
            errors={},
            unanswered={},
            expected_rejections=rejected,
            throughput_per_second=orders / 60,
            counted=f"{orders:,} orders: {orders - rejected:,} sold, {rejected:,} rejected (OUT_OF_STOCK {rejected:,})",
            judged="No order failed.",
        ),
        quantiles=quantile_figures(latency_seconds),
        effects=(SideEffectFigure("placed to notified", orders - rejected, quantile_figures(latency_seconds)),),
        points=Points(at_seconds, latency_seconds, outcome),
        invalid_because=(),
        gates=(GateFigure("send lag", "passed", "p99 0.31 ms, limit 3.00 ms"),),
        tables=(RedTable("use_cases", "Use cases", (_red_row(orders, rejected),)),),
        waterfalls=(sample_waterfall("A typical order"), sample_waterfall("A slow order")),
        integrity=TraceIntegrity(
            30_000, {"POST /orders": orders}, (IntegrityCheck("1,500 requests, 1,500 traces", passed=True),)
        ),
    )


def broken_result() -> DemoResult:
    """Return the same with everything that can be wrong."""
    result = sample_result()
    return replace(
        result,
        orders=replace(result.orders, pending=3, errors={"INTERNAL": 2}, unanswered={"TIMEOUT": 1}),
        points=replace(result.points, outcome=("error", "transport", "pending", *result.points.outcome[3:])),
        invalid_because=("send lag: p99 31.00 ms, limit 3.00 ms",),
        gates=(GateFigure("in flight at the server", "not checked", "4 samples of the server, 20 needed"),),
        integrity=replace(result.integrity, checks=(IntegrityCheck("3 orphans", passed=False),)),
    )


def quantile_figures(latency_seconds: tuple[float, ...]) -> tuple[QuantileFigure, ...]:
    """Return the usual three quantiles."""
    ordered = sorted(latency_seconds)
    intervals = {q: quantile_interval(ordered, q) for q in (0.5, 0.95, 0.99)}
    return tuple(QuantileFigure(q, quantile(ordered, q), each.low, each.high) for q, each in intervals.items())


def sample_waterfall(title: str) -> Waterfall:
    """Four spans of three components."""
    names = (
        ("POST /orders", "server", "edge", 0.0, 1.0, ((0.0, 0.1), (0.9, 0.1))),
        ("order.place_order", "internal", "order", 0.1, 0.8, ((0.1, 0.05), (0.5, 0.4))),
        ("shop.inventory.v1.InventoryService/ReserveStock", "client", "order", 0.15, 0.35, ((0.15, 0.1),)),
        ("SELECT items", "client", "inventory", 0.25, 0.25, ((0.25, 0.25),)),
    )
    rows = tuple(
        WaterfallRow(
            depth=depth,
            name=name,
            kind=kind,
            component=component,
            failed=False,
            offset_seconds=start * 0.02,
            duration_seconds=width * 0.02,
            self_seconds=sum(own_width for _, own_width in own) * 0.02,
            bar=BarSegment(start, width),
            own=tuple(BarSegment(own_start, own_width) for own_start, own_width in own),
        )
        for depth, (name, kind, component, start, width, own) in enumerate(names)
    )
    return Waterfall(
        title=title,
        trace_id="0af7651916cd43dd8448eb211c80319c",
        order_id="e828efbb-08c4-4b23-85aa-ada910d40842",
        outcome="confirmed",
        lines=10,
        latency_seconds=0.021,
        duration_seconds=0.02,
        rows=rows,
    )


def _red_row(count: int, rejected: int) -> RedRow:
    return RedRow(
        component="order",
        name="place_order",
        count=count,
        rate_per_second=count / 60,
        errors=rejected,
        faults=0,
        p50_seconds=0.012,
        p95_seconds=None,
        outcomes={"ok": count - rejected, "OUT_OF_STOCK": rejected},
    )
