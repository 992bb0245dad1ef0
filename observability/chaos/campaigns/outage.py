"""Outage campaign: inventory is unavailable for a while under load; its callers must open the breaker and recover.

A server in inventory's place answers every call with UNAVAILABLE and counts the attempts, or nothing listens there. The
load is an open loop, so the rate of orders does not depend on the answers.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import grpc

from observability.analysis.quantiles import quantile
from observability.chaos.campaign_context import CampaignContext, Say, scrape
from observability.chaos.campaign_report import Report
from observability.chaos.history import History
from observability.load.arrival_plan import plan_orders
from observability.load.client import open_client
from observability.load.open_loop import drive
from observability.load.options import LoadOptions
from observability.load.outcomes import OutcomeKind
from observability.load.recorder import RequestRecord, Run
from observability.load.stock_plan import ample_stock
from observability.load.stocking import stock_shop
from observability.testbed.process_group import PLAIN, ProcessGroup, ProcessGroupOptions
from services.infra.circuit_breaker import Policy
from services.inventory.rpc.server import SERVICE
from services.local.servers.ports import local_address

BEFORE_SECONDS = 10.0
AWAY_SECONDS = 30.0
AFTER_SECONDS = 25.0
SAMPLE_SECONDS = 0.1
# Limits that a guarded caller must keep: attempts a request, and seconds.
MOST_ATTEMPTS = 1.15
OPEN_WITHIN_SECONDS = 2.0
# The breaker opens after so many failed calls, which takes longer at a low rate of orders.
FAILED_CALLS = Policy().failures_in_a_row
NORMAL_WITHIN_SECONDS = 12.0
MOST_PROBES = 5
# A second is normal if this share of its orders is sold.
NORMAL_SHARE = 0.95
UNGUARDED = {"ORDER_INVENTORY_GUARDED": "false", "ORDER_ADMISSION_ENABLED": "false"}

How = Literal["refusing", "gone"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutageOptions:
    """Options of the campaign.

    how: whether a server rejects the calls, or nothing listens.
    guarded: whether calls have circuit breaker, throttle and retry budget, and requests admission control.
    seed: fixes the orders.
    rate_per_second: orders a second.
    away_seconds: length of the outage.
    """

    how: How
    guarded: bool
    seed: int
    rate_per_second: float
    away_seconds: float = AWAY_SECONDS

    @property
    def whole_seconds(self) -> float:
        """Length of the load: before, during and after the outage."""
        return BEFORE_SECONDS + self.away_seconds + AFTER_SECONDS


@dataclass(slots=True)
class RejectingServer:
    """A server in inventory's place that rejects every call.

    began: time of the event loop from which seconds count.
    calls: number of calls in each second.
    most_at_once: most concurrent calls in each second.
    now: concurrent calls now.
    """

    began: float
    calls: Counter[int] = field(default_factory=Counter)
    most_at_once: Counter[int] = field(default_factory=Counter)
    now: int = 0

    async def answer(self, _request: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
        """Reject one call."""
        second = int(asyncio.get_running_loop().time() - self.began)
        self.now += 1
        self.calls[second] += 1
        self.most_at_once[second] = max(self.most_at_once[second], self.now)
        try:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the campaign made this service unavailable")
        finally:
            self.now -= 1
        raise AssertionError("abort raises")


@asynccontextmanager
async def rejecting_server(port: int) -> AsyncIterator[RejectingServer]:
    """Reject calls at inventory's address during a with block."""
    counting = RejectingServer(asyncio.get_running_loop().time())
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        name: grpc.unary_unary_rpc_method_handler(counting.answer) for name in SERVICE.methods_by_name
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE.full_name, handlers),))
    server.add_insecure_port(str(local_address(port)))
    await server.start()
    try:
        yield counting
    finally:
        await server.stop(None)


async def outage(options: OutageOptions, folder: Path, say: Say) -> Report:
    """Run the campaign. Raises LocalError, TestbedError, LoadError."""
    report = Report("outage", asdict(options))
    environment = PLAIN if options.guarded else {**PLAIN, **UNGUARDED}
    group_options = ProcessGroupOptions(folder=folder, mode="services", bus="postgres", environment=environment)
    async with ProcessGroup.open(group_options) as group:
        context = CampaignContext(group, History(), report, say)
        await group.start_all()
        plan = plan_orders(
            rate_per_second=options.rate_per_second,
            duration_seconds=options.whole_seconds,
            seed=options.seed,
            lines=(1, 3),
        )
        skus = ample_stock(line.sku for order in plan for line in order.lines)
        await stock_shop(str(local_address(group.ports.inventory_grpc)), skus, request_id_prefix="outage")
        load = LoadOptions(target=str(local_address(group.ports.edge_http)), seed=options.seed, run_nonce="outage")
        async with open_client(load) as client:
            run = Run(plan=plan, client=client, on_progress=None)
            driving = asyncio.create_task(drive(run))
            attempts = await _take_away(context, options, run)
            await driving
        write_figures(report, run.records, attempts)
        return report


async def _take_away(context: CampaignContext, options: OutageOptions, run: Run) -> "Attempts":
    """Stop inventory at its time and start it again; return what was observed of the calls meanwhile."""
    group, port = context.group, context.group.ports.inventory_grpc
    await asyncio.sleep(BEFORE_SECONDS - run.now_seconds())
    context.say(f"killing inventory ({options.how})")
    await group.kill("inventory")
    gone = run.now_seconds()
    watching = asyncio.create_task(_watch_breaker(context, run))
    counting: RejectingServer | None = None
    if options.how == "refusing":
        async with rejecting_server(port) as counting:
            await asyncio.sleep(gone + options.away_seconds - run.now_seconds())
    else:
        await asyncio.sleep(gone + options.away_seconds - run.now_seconds())
    await group.start_ready("inventory")
    back = run.now_seconds()
    context.say("inventory is back")
    await asyncio.sleep(max(0.0, options.whole_seconds - run.now_seconds()))
    watching.cancel()
    opened = [at for at, is_open in context.report.figures.pop("breaker") if is_open and at >= gone]
    return Attempts(gone, back, counting, opened[0] - gone if opened else None)


@dataclass(frozen=True, slots=True)
class Attempts:
    """What was observed during the outage.

    gone_seconds, back_seconds: start and end of the outage, in seconds of the run.
    counting: the server in inventory's place; None if nothing listened.
    opened_after_seconds: when the breaker opened, from the start of the outage; None if it did not.
    """

    gone_seconds: float
    back_seconds: float
    counting: RejectingServer | None
    opened_after_seconds: float | None


async def _watch_breaker(context: CampaignContext, run: Run) -> None:
    """Record, ten times a second, whether the breaker is open."""
    seen: list[tuple[float, bool]] = []
    context.report.figures["breaker"] = seen
    address = context.group.admin_address("order")
    while True:
        found = await scrape(f"{address}", names=("shop_circuit_breaker_state",))
        seen.append((run.now_seconds(), found.total("shop_circuit_breaker_state", state="open") > 0))
        await asyncio.sleep(SAMPLE_SECONDS)


def write_figures(report: Report, records: Sequence[RequestRecord], attempts: Attempts) -> None:
    """Write the figures of the outage and its violations into the report."""
    away = [each for each in records if attempts.gone_seconds <= each.intended_seconds < attempts.back_seconds]
    after = [each for each in records if each.intended_seconds >= attempts.back_seconds]
    counting = attempts.counting
    open_within = open_within_seconds(report.options["rate_per_second"])
    report.figures |= {
        "requests_while_away": len(away),
        "answers_while_away": dict(Counter(each.reason or each.outcome for each in away)),
        "p50_ms_while_away": round(1e3 * quantile(sorted(each.latency_seconds for each in away), 0.5), 1),
        "p99_ms_while_away": round(1e3 * quantile(sorted(each.latency_seconds for each in away), 0.99), 1),
        "breaker_opened_after_seconds": attempts.opened_after_seconds,
        "normal_after_seconds": normal_after(after, attempts.back_seconds),
    }
    if counting is not None:
        report.figures |= {
            "attempts": counting.calls.total(),
            "attempts_a_request": round(counting.calls.total() / len(away), 3),
            "most_probes_at_once": max(
                (most for second, most in counting.most_at_once.items() if second > open_within), default=0
            ),
            "attempts_by_second": dict(sorted(counting.calls.items())),
        }
    if report.options["guarded"]:
        _expect(report)


def open_within_seconds(rate_per_second: float) -> float:
    """Return the time limit for opening the breaker: twice the time in which enough calls fail."""
    return max(OPEN_WITHIN_SECONDS, 2 * FAILED_CALLS / rate_per_second)


def normal_after(after: Sequence[RequestRecord], back_seconds: float) -> int | None:
    """Return the seconds from the end of the outage until all further seconds are normal; None if none is."""
    seconds: Mapping[int, list[bool]] = {number: [] for number in range(int(AFTER_SECONDS) - 2)}
    for each in after:
        if (number := int(each.intended_seconds - back_seconds)) in seconds:
            seconds[number].append(each.outcome is OutcomeKind.CONFIRMED)
    bad = [number for number, sold in seconds.items() if sold and sum(sold) < NORMAL_SHARE * len(sold)]
    return None if bad and max(bad) == max(seconds) else max(bad, default=-1) + 1


def _expect(report: Report) -> None:
    figures = report.figures
    opened, normal = figures["breaker_opened_after_seconds"], figures["normal_after_seconds"]
    open_within = open_within_seconds(report.options["rate_per_second"])
    report.expect(opened is not None and opened <= open_within, f"the breaker opened after {opened} s")
    report.expect(normal is not None and normal <= NORMAL_WITHIN_SECONDS, f"sales were normal after {normal} s")
    if "attempts" in figures:
        each = figures["attempts_a_request"]
        report.expect(each <= MOST_ATTEMPTS, f"{each} attempts a request")
        report.expect(figures["most_probes_at_once"] <= MOST_PROBES, f"{figures['most_probes_at_once']} probes at once")
