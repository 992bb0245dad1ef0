"""Storm campaign: hundreds of concurrent orders for the last hundred units; exactly the stock must be sold.

Between storms the platform becomes quiescent. No stock is released during a storm, so the available stock only falls: a
rejected order asked for more than was available then, and so for more than is left.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from observability.chaos.campaign_context import CampaignContext, Say
from observability.chaos.campaign_report import Report
from observability.chaos.database_snapshot import read_orders
from observability.chaos.history import Delivered, History
from observability.chaos.platform_options import CampaignPlatformOptions
from observability.chaos.workload import UNIT_PRICE
from observability.invariants.quiescence import QUIET_SECONDS, wait_for_quiet
from observability.load.orders import stream
from observability.testbed.api_clients import ApiClient
from observability.testbed.process_group import PLAIN, ProcessGroup
from observability.testbed.requests import PlaceRequest, RequestedLine, StoredOrder
from services.infra import deadline
from services.inventory import api as inventory

IN_STOCK = 100
ORDERS = 400
CALL_SECONDS = 10.0
ATTEMPTS = 60
PAUSE_SECONDS = (0.05, 0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class StormOptions(CampaignPlatformOptions):
    """Options of the campaign: `times` storms, alternately with one unit an order and with one to three."""

    seed: int
    times: int


async def storm(options: StormOptions, folder: Path, say: Say) -> Report:
    """Run the campaign. Raises LocalError, TestbedError, NotQuiet."""
    report = Report("storm", asdict(options))
    async with ProcessGroup.open(options.process_group(folder, environment=PLAIN)) as group:
        context = CampaignContext(group, History(), report, say)
        await group.start_all()
        async with group.api_clients() as apis:
            storms = [await _storm(context, apis, options.seed, number) for number in range(options.times)]
        report.figures["storms"] = storms
        return await context.conclude()


async def _storm(context: CampaignContext, apis: Sequence[ApiClient], seed: int, number: int) -> dict[str, Any]:
    sku, most = f"STORM{number}", 1 if number % 2 == 0 else 3
    await _deliver(context, sku)
    generator = stream(seed, f"storm {number}")
    requests = [
        PlaceRequest(
            f"storm-{number}-{index}",
            str(UUID(int=index + 1, version=4)),
            (RequestedLine(sku, generator.randint(1, most)),),
        )
        for index in range(ORDERS)
    ]
    await asyncio.gather(*(_place(context, apis[index % 2], request) for index, request in enumerate(requests)))
    target = context.group.verify_target()
    await wait_for_quiet(target, timeout_seconds=QUIET_SECONDS)
    orders = [
        order
        for order in await read_orders(target.databases, since=context.history.began_time)
        if order.lines[0].sku == sku
    ]
    counts = outcome(orders)
    sold, left = counts["sold"], counts["left"]
    context.say(f"storm {number + 1}: {ORDERS} orders for {IN_STOCK} of {sku}: {sold} sold, {left} left")
    on_hand = await context.group.fetch_number("inventory", "SELECT on_hand FROM items WHERE sku = $1", sku)
    for wrong in faults_of(counts, on_hand=on_hand):
        context.report.violations.append(f"{sku}: {wrong}")
    return {"sku": sku, **counts}


def outcome(orders: Sequence[StoredOrder]) -> dict[str, Any]:
    """Return the counts of a storm's orders and units."""
    sold = sum(order.lines[0].quantity for order in orders if order.state == "CONFIRMED")
    rejected = [order.lines[0].quantity for order in orders if order.state == "REJECTED"]
    return {
        "orders": len(orders),
        "sold": sold,
        "left": IN_STOCK - sold,
        "rejected": len(rejected),
        "smallest_rejected": min(rejected, default=None),
    }


def faults_of(counts: dict[str, Any], *, on_hand: int) -> list[str]:
    """Return a sentence for each violation in a storm's outcome."""
    found = []
    if counts["orders"] != ORDERS:
        found.append(f"{counts['orders']} orders are stored of {ORDERS}")
    if counts["left"] < 0:
        found.append(f"{counts['sold']} units were sold of {IN_STOCK}")
    if counts["smallest_rejected"] is not None and counts["left"] >= counts["smallest_rejected"]:
        found.append(f"an order of {counts['smallest_rejected']} was rejected, and {counts['left']} are left")
    if on_hand != counts["left"]:
        found.append(f"{on_hand} are on hand, and {counts['left']} were not sold")
    return found


async def _deliver(context: CampaignContext, sku: str) -> None:
    command = inventory.Restock(f"deliver-{sku}", (inventory.Delivery(sku, IN_STOCK, UNIT_PRICE),))
    context.history.deliveries.append(Delivered(command.request_id, sku, IN_STOCK))
    async with context.group.stock() as stock:
        with deadline.within(CALL_SECONDS):
            await stock.restock(command)


async def _place(context: CampaignContext, api: ApiClient, request: PlaceRequest) -> None:
    """Place one order, and repeat it with its id until its outcome is known."""
    pauses = stream(0, request.request_id)
    for _ in range(ATTEMPTS):
        sent_seconds = context.history.seconds()
        answer = await api.send(request, seconds=CALL_SECONDS)
        context.history.record(request, api.name, sent_seconds, answer)
        if answer.known:
            return
        await asyncio.sleep(pauses.uniform(*PAUSE_SECONDS))
