"""Run of the demo: starts the platform, measures its capacity, stocks, loads, stops, and writes the report."""

import asyncio
import os
import secrets
import time
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from observability.demo.evidence import DemoObservation, make_result
from observability.demo.folders import make_run_directory, remove_run_directory, write_file
from observability.demo.options import OUT_OF_STOCK_SHARE, DemoOptions
from observability.demo.scrapes import ScrapePair, scrape_when_quiet
from observability.load.arrival_plan import plan_orders, plan_requests
from observability.load.capacity import (
    MOST_ORDERS,
    WHOLE_SECONDS,
    Capacity,
    Probe,
    measure_capacity,
)
from observability.load.generator import GeneratorTask
from observability.load.generator_process import Load, run_load
from observability.load.host_usage import default_cpu, usable_cpus
from observability.load.options import LoadOptions
from observability.load.recorder import RequestRecord
from observability.load.result import rounded_down
from observability.load.stock_plan import StockPlan, ample_stock, plan_stock
from observability.load.stocking import stock_shop
from observability.load.terminal import showing_progress
from observability.report.demo.page import render
from observability.report.demo.result import DemoResult, Phases
from observability.testbed.environment import describe_environment, describe_event_log
from observability.testbed.side_effects import SideEffects, wait_for_effects
from services.local.platform.endpoints import Endpoints
from services.local.platform.plan import PlatformOptions
from services.local.platform.platform import Platform

# Enough for every span of the largest demo: none may be rotated away.
_RECEIVER_FILES = "64"
# What is ordered to measure the capacity takes nothing from the stock that is planned for the demo.
_MEASURING_SKUS = "M"


@dataclass(frozen=True, slots=True)
class _Measured:
    """What the machine can do; the orders that showed it, and the calls that stocked them."""

    capacity: Capacity
    requests: tuple[RequestRecord, ...]
    stocking_calls: int


@dataclass(frozen=True, slots=True)
class FinishedDemo:
    """A demo's result, and the files it wrote; `latest` is where the newest report always is."""

    result: DemoResult
    directory: Path
    report: Path
    latest: Path


class Demo:
    """One run of `plumb demo`."""

    def __init__(self, options: DemoOptions, *, console: Console) -> None:
        self._options = options
        self._console = console
        self._began = time.monotonic()
        self._cpu = default_cpu()

    async def run(self) -> FinishedDemo:
        """Run to the end; raises LocalError, LoadError or DemoError. When cancelled, everything is stopped first."""
        self._options.check()
        directory = make_run_directory(self._options.output)
        try:
            observation, phases = await self._observe(directory)
            self._say("reading traces and logs")
            result = await asyncio.to_thread(make_result, self._options, observation, phases)
        except asyncio.CancelledError:
            remove_run_directory(directory)
            raise
        return self._write(result, directory)

    async def _observe(self, directory: Path) -> tuple[DemoObservation, Phases]:
        """Run the platform for as long as there is something to see."""
        platform_cpus = None if self._cpu is None else usable_cpus() - {self._cpu}
        platform_options = PlatformOptions(
            run_directory=directory,
            mode=self._options.mode,
            bus=self._options.bus,
            cpus=platform_cpus,
            environment={"receiver": {"RECEIVER_MAXIMUM_FILES": _RECEIVER_FILES}},
        )
        async with Platform.start(platform_options, progress=self._say) as platform:
            endpoints = platform.endpoints
            stores = {"events": await describe_event_log(endpoints)}
            environment = await describe_environment(
                endpoints.databases["order"], stores=stores, platform_cpus=platform_cpus
            )
            measured = await platform.unless_failure(self._measure(endpoints, directory))
            rate = self._rate(measured.capacity)
            plan = await asyncio.to_thread(self._plan_stock, rate)
            calls = measured.stocking_calls + await platform.unless_failure(self._stock(endpoints, plan))
            set_up = time.monotonic()
            before = await scrape_when_quiet(endpoints.admin)
            load = await platform.unless_failure(self._load(endpoints, plan, rate, directory))
            loaded = time.monotonic()
            aftermath = await platform.unless_failure(self._settle(endpoints))
            scrapes = ScrapePair(before, await scrape_when_quiet(endpoints.admin))
            settled = time.monotonic()
        phases = Phases(set_up - self._began, loaded - set_up, settled - loaded, time.monotonic() - settled)
        observation = DemoObservation(
            run_id=directory.name,
            rate_per_second=rate,
            capacity_per_second=measured.capacity.sold_per_second,
            load=load,
            measuring=measured.requests,
            scrapes=scrapes,
            aftermath=aftermath,
            stocking_calls=calls,
            expected_rejections=plan.expected_rejections,
            environment=environment,
            traces_directory=Path(endpoints.traces_directory),
            notifications_directory=Path(endpoints.notifications_directory),
            logs={name: Path(path) for name, path in endpoints.logs.items()},
        )
        return observation, phases

    async def _measure(self, endpoints: Endpoints, directory: Path) -> _Measured:
        """Measure what the platform sells, on stock of its own, and wait until it is at rest again."""
        self._say(f"measuring for {WHOLE_SECONDS:g} s what this machine can do")
        seed = self._options.seed
        orders = await asyncio.to_thread(plan_requests, requests=MOST_ORDERS, seed=seed, sku_prefix=_MEASURING_SKUS)
        deliveries = ample_stock(line.sku for order in orders for line in order.lines)
        calls = await stock_shop(endpoints.inventory_grpc, deliveries, request_id_prefix="demo")
        probe = Probe(
            target=endpoints.edge_http,
            seed=seed,
            service_pids=dict(endpoints.service_pids),
            cpu=self._cpu,
            sku_prefix=_MEASURING_SKUS,
        )
        capacity, load = await measure_capacity(probe, folder=directory / "logs")
        await wait_for_effects(endpoints.databases)
        return _Measured(capacity, load.requests, calls)

    def _rate(self, capacity: Capacity) -> float:
        """Choose the rate, and say what the machine sells and at which rate the demo runs; raises DemoError."""
        rate = self._options.rate_on(capacity)
        asked = f"the demo runs at {rate:g}" + ("" if self._options.rate_per_second is None else ", as --rate says")
        self._say(f"this machine sells about {rounded_down(capacity.sold_per_second):g} orders a second; {asked}")
        return rate

    def _plan_stock(self, rate_per_second: float) -> StockPlan:
        options = self._options
        self._say(f"planning {rate_per_second:g} orders a second for {options.duration_seconds:g} s")
        orders = plan_orders(
            rate_per_second=rate_per_second, duration_seconds=options.duration_seconds, seed=options.seed
        )
        return plan_stock(orders, out_of_stock_share=OUT_OF_STOCK_SHARE, seed=options.seed)

    async def _stock(self, endpoints: Endpoints, plan: StockPlan) -> int:
        self._say(f"stocking {len(plan.deliveries):,} SKUs, {len(plan.scarce_skus):,} of them scarcely")
        return await stock_shop(endpoints.inventory_grpc, plan.deliveries, request_id_prefix="demo")

    async def _load(self, endpoints: Endpoints, plan: StockPlan, rate_per_second: float, directory: Path) -> Load:
        self._say(f"placing {plan.orders:,} orders; about {plan.expected_rejections:,} will find a SKU sold out")
        task = self._task(endpoints, rate_per_second, directory)
        with showing_progress(self._console) as on_progress:
            log_path = directory / "logs" / "load.log"
            return await run_load(task, log_path=log_path, on_progress=on_progress)

    async def _settle(self, endpoints: Endpoints) -> SideEffects:
        self._say("waiting for the asynchronous work of the orders")
        return await wait_for_effects(endpoints.databases)

    def _task(self, endpoints: Endpoints, rate_per_second: float, directory: Path) -> GeneratorTask:
        options = LoadOptions(
            target=endpoints.edge_http,
            seed=self._options.seed,
            run_nonce=secrets.token_hex(4),
            rate_per_second=rate_per_second,
            duration_seconds=self._options.duration_seconds,
            admin_address=endpoints.admin.get("order") or endpoints.admin["monolith"],
            service_pids=dict(endpoints.service_pids),
            cpu=self._cpu,
        )
        return GeneratorTask(
            options=options,
            rate_per_second=rate_per_second,
            duration_seconds=self._options.duration_seconds,
            result_path=directory / "load.json",
        )

    def _write(self, result: DemoResult, directory: Path) -> FinishedDemo:
        """Write result and report, and the report once more as the latest one."""
        finished = FinishedDemo(result, directory, directory / "report.html", self._options.output / "report.html")
        write_reports(finished)
        return finished

    def _say(self, sentence: str) -> None:
        seconds = time.monotonic() - self._began
        self._console.print(f"{seconds:6.1f} s  {sentence}", markup=False, highlight=False, soft_wrap=True)


def write_reports(finished: FinishedDemo) -> None:
    """Write the result, its report, and the report once more as the newest one; raises DemoError."""
    result, directory = finished.result, finished.directory
    write_file(directory / "result.json", result.to_json())
    write_file(finished.report, render(result).encode())
    write_file(finished.latest, render(result, run_folder=f"{directory.name}/").encode())


def link_experiment(finished: FinishedDemo, report: Path) -> None:
    """Let the report of a demo lead to that of the experiment which followed; raises DemoError."""
    experiment = os.path.relpath(report, finished.directory)
    write_reports(replace(finished, result=replace(finished.result, experiment=experiment)))
