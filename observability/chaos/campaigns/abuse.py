"""Abuse campaign: a few hostile clients attack a running platform, and honest customers must not notice.

Honest orders arrive in an open loop, and a few customers place, repeat, read and cancel beside them. Attacks and rests
alternate. The goodput of honest orders during an attack is compared with that in the rests. All answers are checked
against the databases, as in every campaign.
"""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from observability.analysis.quantiles import quantile
from observability.chaos.attackers import ATTACKS, CUSTOMER, KEY, STRAYS, Targets
from observability.chaos.campaign_context import CampaignContext, Say, until
from observability.chaos.campaign_report import Report
from observability.chaos.history import Delivered, History
from observability.chaos.honest_customers import SKUS, HonestCustomers, HonestOrder, goodput
from observability.chaos.platform_options import CampaignPlatformOptions
from observability.chaos.stallable_log import StallableLog
from observability.chaos.workload import UNIT_PRICE
from observability.network.proxy import Delay, Impairment, Proxy
from observability.testbed.errors import TestbedError
from observability.testbed.process_group import QUICK, ProcessGroup
from observability.testbed.requests import PlaceRequest, RequestedLine
from services.infra import deadline
from services.inventory import api as inventory
from services.local.servers.ports import local_address

ATTACKERS = "observability.chaos.attackers"
# Faults of the platform's own parts, beside the attacks of hostile clients.
FAULTS = ("log_stalled", "silent_connection", "inventory_unavailable")
NAMES = (*ATTACKS, *FAULTS)

IN_STOCK = 1_000_000
CUSTOMERS = 3
WARM_UP_SECONDS = 5.0
LEAST_GOODPUT = 0.9
# By then a silent connection is replaced, and orders are sold again after a part of the platform was unavailable.
# Orders may fail meanwhile, but no answer may be wrong.
HEALED_SECONDS = 20.0
MIB = 1024 * 1024
MOST_GROWTH_BYTES = 96 * MIB
SAMPLE_SECONDS = 0.25
# Time for the attackers to start on a slow machine, and after which orphaned attackers end.
START_SECONDS = 60.0
LIMIT_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AbuseOptions(CampaignPlatformOptions):
    """Options of the campaign.

    seed: fixes the honest orders and customers.
    rate_per_second: honest orders, in an open loop.
    attack_seconds, rest_seconds: how long each attack and each rest takes.
    attacks: names out of NAMES, in their order; stray messages need NATS.
    """

    seed: int
    rate_per_second: float
    attack_seconds: float
    rest_seconds: float
    attacks: Sequence[str]


@dataclass(frozen=True, slots=True)
class Window:
    """A part of the run.

    attack: its name; empty for a rest.
    begin_seconds, end_seconds: on the clock of the history.
    answers: number of each answer to the attackers.
    """

    attack: str
    begin_seconds: float
    end_seconds: float
    answers: Mapping[str, int] = field(default_factory=dict)

    def orders(self, orders: Sequence[HonestOrder]) -> list[HonestOrder]:
        """Return the orders that were due in it."""
        return [each for each in orders if self.begin_seconds <= each.due_seconds < self.end_seconds]


class Memory:
    """Resident bytes of each process: before the first attack, and the maximum since."""

    def __init__(self, group: ProcessGroup) -> None:
        self._group = group
        self.before = self._sizes()
        self.most = dict(self.before)

    async def watch(self) -> None:
        """Sample until cancelled."""
        while True:
            for name, size in self._sizes().items():
                self.most[name] = max(self.most.get(name, 0), size)
            await asyncio.sleep(SAMPLE_SECONDS)

    def _sizes(self) -> dict[str, int]:
        handles = self._group.handles.items()
        return {name: psutil.Process(handle.pid).memory_info().rss for name, handle in handles if not handle.ended}


async def abuse(options: AbuseOptions, folder: Path, say: Say) -> Report:
    """Run the campaign. Raises LocalError, TestbedError, LoadError."""
    report = Report("abuse", asdict(options))
    log = StallableLog(folder / "logs" / "order.pipe", folder / "logs" / "order.log")
    group_options = options.process_group(folder, environment=QUICK, log_paths={"order": log.pipe})
    with log.open():
        async with ProcessGroup.open(group_options) as group, _inventory_proxy(group) as proxy:
            context = CampaignContext(group, History(), report, say)
            await group.start_ready("inventory")
            await group.start_ready("order", ORDER_INVENTORY_TARGET=proxy.address)
            await group.start_ready("notification")
            campaign = AbuseRun(context, options, log, proxy)
            async with context.under_load(seed=options.seed, clients=CUSTOMERS):
                await campaign.run()
            if "stray_messages" in options.attacks:
                await _discard_strays(context)
            await context.conclude()
            # A parked message is logged as an error, as it should be.
            report.violations = [
                each for each in report.violations if not each.endswith("logged messaging.event_parked")
            ]
            return report


async def _discard_strays(context: CampaignContext) -> None:
    """Delete the parked stray messages, as an operator does; each consumer must have parked all of them."""

    async def parked() -> Counter[str]:
        select = "SELECT consumer FROM dead_letters WHERE reason = 'MALFORMED_MESSAGE'"
        databases = ("order_read", "notification")
        rows = [row for database in databases for row in await context.group.fetch(database, select)]
        return Counter(row["consumer"] for row in rows)

    async def all_parked() -> bool:
        return set((await parked()).values()) == {STRAYS}

    await until("each consumer parked every stray message", all_parked, limit_seconds=START_SECONDS)
    context.report.figures["strays_parked"] = dict(await parked())
    for database in ("order_read", "notification"):
        await context.group.execute(database, "DELETE FROM dead_letters WHERE reason = 'MALFORMED_MESSAGE'")


@asynccontextmanager
async def _inventory_proxy(group: ProcessGroup) -> AsyncIterator[Proxy]:
    target = local_address(group.ports.inventory_grpc)
    async with Proxy.open(target=target, delay=Delay(latency_seconds=0.0), seed=0) as proxy:
        yield proxy


class AbuseRun:
    """The attacks of one run, one after the other, and the honest orders beside them."""

    def __init__(self, context: CampaignContext, options: AbuseOptions, log: StallableLog, proxy: Proxy) -> None:
        self._context = context
        self._group = context.group
        self._options = options
        self._log = log
        self._proxy = proxy

    async def run(self) -> None:
        """Run all attacks, then report."""
        options = self._options
        await self._deliver()
        async with self._group.api_clients() as (rest, _):
            customers = HonestCustomers(
                edge=rest, history=self._context.history, rate_per_second=options.rate_per_second, seed=options.seed
            )
            # The attackers repeat it to get a consistency token of their own.
            await customers.until_known(PlaceRequest(KEY, CUSTOMER, (RequestedLine(SKUS[0], 1),)))
            async with customers.ordering():
                await asyncio.sleep(WARM_UP_SECONDS)
                memory = Memory(self._group)
                async with background(memory.watch()):
                    windows = [window async for window in self._windows()]
        self._report(windows, customers.orders, memory)

    async def _deliver(self) -> None:
        history = self._context.history
        history.deliveries.extend(Delivered("honest", sku, IN_STOCK) for sku in SKUS)
        lines = tuple(inventory.Delivery(sku, IN_STOCK, UNIT_PRICE) for sku in SKUS)
        async with self._group.stock() as stock:
            with deadline.within(START_SECONDS):
                await stock.restock(inventory.Restock("honest", lines))

    async def _windows(self) -> AsyncIterator[Window]:
        """Yield rests and attacks alternately, each when it is over."""
        yield await self._rest()
        for name in self._options.attacks:
            self._context.say(f"attack: {name}")
            async with self._attack(name) as answers:
                began = self._context.history.seconds()
                await asyncio.sleep(self._options.attack_seconds)
                ended = self._context.history.seconds()
            yield Window(name, began, ended, answers)
            yield await self._rest()

    async def _rest(self) -> Window:
        began = self._context.history.seconds()
        await asyncio.sleep(self._options.rest_seconds)
        return Window("", began, self._context.history.seconds())

    @asynccontextmanager
    async def _attack(self, name: str) -> AsyncIterator[dict[str, int]]:
        """Attack during a with block; at its end the mapping has the attackers' answers."""
        answers: dict[str, int] = {}
        match name:
            case "log_stalled":
                with self._log.stalled():
                    yield answers
            case "silent_connection":
                with self._proxy.impaired(Impairment.HALF_OPEN):
                    await asyncio.sleep(HEALED_SECONDS)
                    yield answers
            case "inventory_unavailable":
                await self._group.kill("inventory")
                await asyncio.sleep(self._options.attack_seconds)
                await self._group.start_ready("inventory")
                await asyncio.sleep(HEALED_SECONDS)
                yield answers
            case _:
                async with self._attackers(name) as process:
                    yield answers
                    answers |= await _end(process)

    @asynccontextmanager
    async def _attackers(self, name: str) -> AsyncIterator[Process]:
        """Run the attackers' process during a with block, which starts with the attack."""
        group = self._group
        targets = Targets(
            edge_http=str(local_address(group.ports.edge_http)),
            order_grpc=str(local_address(group.ports.order_grpc)),
            admin=group.admin_address("order"),
            nats_url=group.foundation.event_log.url if self._options.bus == "nats" else "",
            sku=SKUS[0],
        )
        request = {"attack": name, "targets": asdict(targets), "seconds": self._options.attack_seconds + LIMIT_SECONDS}
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", ATTACKERS, stdin=PIPE, stdout=PIPE)
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            async with asyncio.timeout(START_SECONDS):
                if not await process.stdout.readline():
                    raise TestbedError(f"the attackers of {name} did not start; see what they wrote above")
            process.stdin.write(b"go\n")
            yield process
        except TimeoutError as error:
            raise TestbedError(f"the attackers of {name} did not start within {START_SECONDS:.0f} s") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    def _report(self, windows: Sequence[Window], orders: Sequence[HonestOrder], memory: Memory) -> None:
        """Write the attacks' effect on honest customers and the violations into the report."""
        report = self._context.report
        rests = [goodput(window.orders(orders)) for window in windows if not window.attack]
        normal = sum(rests) / len(rests)
        report.figures["goodput_at_rest"] = round(normal, 3)
        report.figures["attacks"] = [impact_of(window, orders, normal) for window in windows if window.attack]
        for each in report.figures["attacks"]:
            ratio = each["goodput_ratio"]
            report.expect(
                ratio >= LEAST_GOODPUT,
                f"{each['attack']}: honest customers had {ratio:.0%} of normal goodput",
            )
        for before, after in pairwise(windows):
            if before.attack:
                got = goodput(after.orders(orders)) / normal if normal else 0.0
                report.expect(
                    got >= LEAST_GOODPUT,
                    f"after {before.attack}: honest customers had {got:.0%} of their goodput at rest",
                )
        report.figures["memory_mib"] = [
            {"process": name, "before": round(memory.before[name] / MIB), "most": round(most / MIB)}
            for name, most in memory.most.items()
        ]
        for name, most in memory.most.items():
            grown = most - memory.before[name]
            report.expect(grown <= MOST_GROWTH_BYTES, f"{name} grew by {grown / MIB:.0f} MiB")


def impact_of(window: Window, orders: Sequence[HonestOrder], normal: float) -> dict[str, Any]:
    """Return the effect of an attack on honest customers, and the answers to its attackers."""
    due = window.orders(orders)
    latencies = sorted(each.latency_seconds for each in due)
    return {
        "attack": window.attack,
        "orders": len(due),
        "goodput_ratio": round(goodput(due) / normal, 3) if normal else 0.0,
        "p50_ms": round(1e3 * quantile(latencies, 0.5)) if latencies else None,
        "p95_ms": round(1e3 * quantile(latencies, 0.95)) if latencies else None,
        "not_sold": dict(Counter(each.answer.reason or each.answer.state for each in due if not each.good)),
        "attackers_were_answered": dict(window.answers),
    }


async def _end(process: Process) -> dict[str, int]:
    """End the attackers, and return their answers. Raises TestbedError if they failed."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    async with asyncio.timeout(START_SECONDS):
        output = await process.stdout.read()
    if not output:
        raise TestbedError("the attackers failed; see what they wrote above")
    answers: dict[str, int] = json.loads(output)["answers"]
    return answers


@asynccontextmanager
async def background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run a coroutine beside a with block, cancelled at its end; its failure fails the block."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work)
        yield
        task.cancel()
