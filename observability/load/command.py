"""`plumb load`: plans the orders, stocks the shop, runs the load, and prints and writes the result."""

import asyncio
import secrets
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from observability.load.arrival_plan import plan_orders, plan_requests
from observability.load.basket_files import BasketFile, read_baskets
from observability.load.errors import LoadUsageError
from observability.load.host_usage import default_cpu, usable_cpus
from observability.load.options import LoadOptions
from observability.load.orders import PlannedOrder
from observability.load.result import LoadResult, check_writable, write_result
from observability.load.runner import run_closed, run_open
from observability.load.stock_plan import ample_stock
from observability.load.stocking import stock_shop
from observability.load.target import Target, find_target
from observability.load.terminal import print_result, showing_progress


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadCommand:
    """The options of `plumb load` as given; None where the user gave none."""

    rate_per_second: float | None
    duration_seconds: float | None
    baskets_path: Path | None
    seed: int
    target: str | None
    json_path: Path | None
    endpoints_path: Path | None
    stock: bool
    inventory: str | None
    cpu: int | None
    closed: bool
    concurrency: int | None
    requests: int | None
    timeout_seconds: float


def run_load(command: LoadCommand, console: Console) -> LoadResult:
    """Run `plumb load` and return its result. Raises LoadUsageError and LoadError with a sentence to print."""
    _check(command)
    if command.json_path is not None:
        check_writable(command.json_path)
    target = find_target(edge=command.target, inventory=command.inventory, endpoints_path=command.endpoints_path)
    found = None if command.baskets_path is None else read_baskets(command.baskets_path)
    plan = _plan(command, found)
    _describe(console, target, plan, found)
    _stock(command, console, target, plan)
    options = _options(command, target, found)
    with showing_progress(console) as on_progress:
        run = run_closed if command.closed else run_open
        result = run(plan, options, on_progress=on_progress)
    print_result(console, result)
    if command.json_path is not None:
        write_result(result, command.json_path)
        console.print(f"written to {command.json_path}", markup=False, highlight=False)
    return result


def _check(command: LoadCommand) -> None:
    closed_only, open_only = (
        (command.concurrency, command.requests),
        (command.rate_per_second, command.duration_seconds),
    )
    if command.closed and (None in closed_only or open_only != (None, None)):
        raise LoadUsageError("a closed loop takes --concurrency and --requests, and neither --rate nor --duration")
    if not command.closed and (None in open_only or closed_only != (None, None)):
        raise LoadUsageError("give --rate and --duration; or --closed with --concurrency and --requests")
    if not command.timeout_seconds > 0:
        raise LoadUsageError(f"--timeout must be above 0 seconds, not {command.timeout_seconds:g}")
    if command.cpu is not None and command.cpu not in usable_cpus():
        raise LoadUsageError(f"--cpu {command.cpu} is not a core this process may use: {sorted(usable_cpus())}")


def _plan(command: LoadCommand, found: BasketFile | None) -> list[PlannedOrder]:
    baskets = None if found is None else found.baskets
    if command.requests is not None:
        return plan_requests(requests=command.requests, seed=command.seed, baskets=baskets)
    return plan_orders(
        rate_per_second=command.rate_per_second or 0,
        duration_seconds=command.duration_seconds or 0,
        seed=command.seed,
        baskets=baskets,
    )


def _describe(console: Console, target: Target, plan: list[PlannedOrder], found: BasketFile | None) -> None:
    lines = sum(len(order.lines) for order in plan)
    source = "the fitted model" if found is None else f"a file ({found.report.format})"
    console.print(f"{len(plan):,} orders of {lines:,} lines from {source} to {target.edge}", highlight=False)
    for sentence in [] if found is None else found.report.sentences():
        console.print(f"  baskets: {sentence}", markup=False, highlight=False)


def _stock(command: LoadCommand, console: Console, target: Target, plan: list[PlannedOrder]) -> None:
    if not command.stock:
        return
    if target.inventory is None:
        console.print("  not stocked: with --target alone the inventory address is unknown (--inventory HOST:PORT)")
        return
    deliveries = ample_stock(line.sku for order in plan for line in order.lines)
    asyncio.run(stock_shop(target.inventory, deliveries, request_id_prefix="load"))
    console.print(f"  stocked {len(deliveries):,} SKUs amply at {target.inventory}", highlight=False)


def _options(command: LoadCommand, target: Target, found: BasketFile | None) -> LoadOptions:
    return LoadOptions(
        target=target.edge,
        seed=command.seed,
        run_nonce=secrets.token_hex(4),
        rate_per_second=command.rate_per_second,
        duration_seconds=command.duration_seconds,
        concurrency=command.concurrency,
        admin_address=target.admin,
        service_pids=target.service_pids,
        cpu=default_cpu() if command.cpu is None else command.cpu,
        request_timeout_seconds=command.timeout_seconds,
        basket_report=None if found is None else found.report,
    )
