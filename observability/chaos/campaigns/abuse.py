"""Abuse campaign: a few hostile clients attack a running platform, and honest customers must not notice.

Honest orders come in an open loop, and a few customers place, repeat, read and cancel beside it. Attacks and rests take
turns. What the honest orders get during an attack is compared with what they get in the rests; what customers were told
is checked against the databases, as in every campaign.
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
from observability.chaos.stallable_log import StallableLog
from observability.chaos.workload import UNIT_PRICE
from observability.network.proxy import Delay, Impairment, Proxy
from observability.testbed.errors import TestbedError
from observability.testbed.process_group import QUICK, ProcessGroup, ProcessGroupOptions
from observability.testbed.requests import PlaceRequest, RequestedLine
from services.infra import deadline
from services.inventory import api as inventory
from services.local.platform.endpoints import Bus
from services.local.servers.ports import local_address

ATTACKERS = "observability.chaos.attackers"
# What an attack of the platform's own parts is, beside those of hostile clients.
FAULTS = ("log_stalled", "silent_connection", "inventory_unavailable")
NAMES = (*ATTACKS, *FAULTS)

IN_STOCK = 1_000_000
CUSTOMERS = 3
WARM_UP_SECONDS = 5.0
LEAST_GOODPUT = 0.9
# Within that time a silent connection is given up and another one serves, and orders are sold again where a part of the
# platform was unavailable. Orders may fail meanwhile, but no answer may be untrue.
HEALED_SECONDS = 20.0
MIB = 1024 * 1024
MOST_GROWTH_BYTES = 96 * MIB
SAMPLE_SECONDS = 0.25
# For the attackers to start on a slow machine, and for them to end by themselves when they are forgotten.
START_SECONDS = 60.0
LIMIT_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AbuseOptions:
    """The campaign's options.

    bus: where events are published; without NATS nobody can publish stray messages.
    seed: fixes the honest orders and customers.
    rate_per_second: honest orders, in an open loop.
    attack_seconds, rest_seconds: how long each attack and each rest takes.
    attacks: names out of NAMES, in their order.
    """

    bus: Bus
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
    answers: what came back to the attackers, counted.
    """

    attack: str
    begin_seconds: float
    end_seconds: float
    answers: Mapping[str, int] = field(default_factory=dict)

    def orders(self, orders: Sequence[HonestOrder]) -> list[HonestOrder]:
        """Return the orders that were due in it."""
        return [each for each in orders if self.begin_seconds <= each.due_seconds < self.end_seconds]


class Memory:
    """The resident bytes of each process: at rest before the first attack, and the most since."""

    def __init__(self, group: ProcessGroup) -> None:
        self._house = group
        self.before = self._sizes()
        self.most = dict(self.before)

    async def watch(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            for name, size in self._sizes().items():
                self.most[name] = max(self.most.get(name, 0), size)
            await asyncio.sleep(SAMPLE_SECONDS)

    def _sizes(self) -> dict[str, int]:
        handles = self._house.handles.items()
        return {name: psutil.Process(life.pid).memory_info().rss for name, life in handles if not life.is_over}


async def abuse(options: AbuseOptions, folder: Path, say: Say) -> Report:
    """Carry the campaign out. Raises LocalError, TestbedError, LoadError."""
    report = Report("abuse", asdict(options))
    log = StallableLog(folder / "logs" / "order.pipe", folder / "logs" / "order.log")
    house_options = ProcessGroupOptions(
        folder=folder, mode="services", bus=options.bus, environment=QUICK, log_paths={"order": log.pipe}
    )
    with log.open():
        async with ProcessGroup.open(house_options) as group, _inventory_proxy(group) as proxy:
            scene = CampaignContext(group, History(), report, say)
            await group.start_ready("inventory")
            await group.start_ready("order", ORDER_INVENTORY_TARGET=proxy.address)
            await group.start_ready("notification")
            campaign = AbuseRun(scene, options, log, proxy)
            async with scene.under_load(seed=options.seed, clients=CUSTOMERS):
                await campaign.run()
            if "stray_messages" in options.attacks:
                await _discard_strays(scene)
            await scene.conclude()
            # What is parked is told of as an error, as it should be.
            report.violations = [each for each in report.violations if not each.endswith("says messaging.event_parked")]
            return report


async def _discard_strays(scene: CampaignContext) -> None:
    """Delete the stray messages that consumers have parked, as an operator does; each consumer must have parked all."""

    async def parked() -> Counter[str]:
        select = "SELECT consumer FROM dead_letters WHERE reason = 'MALFORMED_MESSAGE'"
        databases = ("order_read", "notification")
        rows = [row for database in databases for row in await scene.group.fetch(database, select)]
        return Counter(row["consumer"] for row in rows)

    async def all_parked() -> bool:
        return set((await parked()).values()) == {STRAYS}

    await until("each consumer parked every stray message", all_parked, limit_seconds=START_SECONDS)
    scene.report.figures["strays_parked"] = dict(await parked())
    for database in ("order_read", "notification"):
        await scene.group.execute(database, "DELETE FROM dead_letters WHERE reason = 'MALFORMED_MESSAGE'")


@asynccontextmanager
async def _inventory_proxy(group: ProcessGroup) -> AsyncIterator[Proxy]:
    target = local_address(group.ports.inventory_grpc)
    async with Proxy.open(target=target, delay=Delay(latency_seconds=0.0), seed=0) as proxy:
        yield proxy


class AbuseRun:
    """The attacks of one run, one after the other, and the honest orders meanwhile."""

    def __init__(self, scene: CampaignContext, options: AbuseOptions, log: StallableLog, proxy: Proxy) -> None:
        self._scene = scene
        self._house = scene.group
        self._options = options
        self._log = log
        self._proxy = proxy

    async def run(self) -> None:
        """Carry all attacks out, then report."""
        options = self._options
        await self._deliver()
        async with self._house.edges() as (rest, _):
            customers = HonestCustomers(
                edge=rest, history=self._scene.history, rate_per_second=options.rate_per_second, seed=options.seed
            )
            # The attackers repeat it to get a consistency token of their own.
            await customers.until_known(PlaceRequest(KEY, CUSTOMER, (RequestedLine(SKUS[0], 1),)))
            async with customers.ordering():
                await asyncio.sleep(WARM_UP_SECONDS)
                memory = Memory(self._house)
                async with background(memory.watch()):
                    windows = [window async for window in self._windows()]
        self._tell(windows, customers.orders, memory)

    async def _deliver(self) -> None:
        history = self._scene.history
        history.deliveries.extend(Delivered("honest", sku, IN_STOCK) for sku in SKUS)
        lines = tuple(inventory.Delivery(sku, IN_STOCK, UNIT_PRICE) for sku in SKUS)
        async with self._house.stock() as stock:
            with deadline.within(START_SECONDS):
                await stock.restock(inventory.Restock("honest", lines))

    async def _windows(self) -> AsyncIterator[Window]:
        """Yield rests and attacks by turns, each when it is over."""
        yield await self._rest()
        for name in self._options.attacks:
            self._scene.say(f"attack: {name}")
            async with self._attack(name) as answers:
                began = self._scene.history.seconds()
                await asyncio.sleep(self._options.attack_seconds)
                ended = self._scene.history.seconds()
            yield Window(name, began, ended, answers)
            yield await self._rest()

    async def _rest(self) -> Window:
        began = self._scene.history.seconds()
        await asyncio.sleep(self._options.rest_seconds)
        return Window("", began, self._scene.history.seconds())

    @asynccontextmanager
    async def _attack(self, name: str) -> AsyncIterator[dict[str, int]]:
        """Attack for the time of a block; what comes back to the attackers is in the mapping at its end."""
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
                await self._house.kill("inventory")
                await asyncio.sleep(self._options.attack_seconds)
                await self._house.start_ready("inventory")
                await asyncio.sleep(HEALED_SECONDS)
                yield answers
            case _:
                async with self._attackers(name) as process:
                    yield answers
                    answers |= await _end(process)

    @asynccontextmanager
    async def _attackers(self, name: str) -> AsyncIterator[Process]:
        """Run the attackers' process for the time of a block; it attacks when the block begins."""
        group = self._house
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

    def _tell(self, windows: Sequence[Window], orders: Sequence[HonestOrder], memory: Memory) -> None:
        """Write down what the honest customers noticed, and what was promised and not kept."""
        report = self._scene.report
        rests = [goodput(window.orders(orders)) for window in windows if not window.attack]
        normal = sum(rests) / len(rests)
        report.figures["goodput_at_rest"] = round(normal, 3)
        report.figures["attacks"] = [noticed(window, orders, normal) for window in windows if window.attack]
        for each in report.figures["attacks"]:
            ratio = each["goodput_ratio"]
            report.expect(
                ratio >= LEAST_GOODPUT, f"{each['attack']}: honest customers got {ratio:.0%} of what they get at rest"
            )
        for before, after in pairwise(windows):
            if before.attack:
                got = goodput(after.orders(orders)) / normal if normal else 0.0
                report.expect(got >= LEAST_GOODPUT, f"after {before.attack}: honest customers got {got:.0%}")
        report.figures["memory_mib"] = [
            {"process": name, "before": round(memory.before[name] / MIB), "most": round(most / MIB)}
            for name, most in memory.most.items()
        ]
        for name, most in memory.most.items():
            grown = most - memory.before[name]
            report.expect(grown <= MOST_GROWTH_BYTES, f"{name} grew by {grown / MIB:.0f} MiB")


def noticed(window: Window, orders: Sequence[HonestOrder], normal: float) -> dict[str, Any]:
    """Return what honest customers noticed of an attack, and what its attackers were answered."""
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
    """Let the attackers end; return what they were answered. Raises TestbedError when they failed."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    async with asyncio.timeout(START_SECONDS):
        told = await process.stdout.read()
    if not told:
        raise TestbedError("the attackers failed; see what they wrote above")
    answers: dict[str, int] = json.loads(told)["answers"]
    return answers


@asynccontextmanager
async def background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run something beside a block, whose failure fails the block; at its end it is cancelled."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work)
        yield
        task.cancel()
