"""Storm campaign: hundreds of orders for the last hundred units; the stock is sold, and never more than it.

Between storms all comes to rest. Nothing is given back during one, so what is available only falls: a wish that was
refused asked for more than was there then, and so for more than is left.
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
from observability.chaos.workload import UNIT_PRICE
from observability.invariants.quiescence import wait_for_quiet
from observability.load.orders import stream
from observability.testbed.api_clients import Edge
from observability.testbed.process_group import PLAIN, ProcessGroup, ProcessGroupOptions
from observability.testbed.requests import PlaceRequest, RequestedLine, StoredOrder
from services.infra import deadline
from services.inventory import api as inventory
from services.local.platform.endpoints import Bus, Mode

IN_STOCK = 100
ORDERS = 400
CALL_SECONDS = 10.0
ATTEMPTS = 60
PAUSE_SECONDS = (0.05, 0.5)
QUIET_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StormOptions:
    """The campaign's options; every other storm asks for one unit an order, the others for one to three."""

    mode: Mode
    bus: Bus
    seed: int
    times: int


async def storm(options: StormOptions, folder: Path, say: Say) -> Report:
    """Carry the campaign out. Raises LocalError, TestbedError, NotQuiet."""
    report = Report("storm", asdict(options))
    house_options = ProcessGroupOptions(folder=folder, mode=options.mode, bus=options.bus, environment=PLAIN)
    async with ProcessGroup.open(house_options) as group:
        scene = CampaignContext(group, History(), report, say)
        await group.start_all()
        async with group.edges() as edges:
            storms = [await _storm(scene, edges, options.seed, number) for number in range(options.times)]
        report.figures["storms"] = storms
        return await scene.conclude()


async def _storm(scene: CampaignContext, edges: Sequence[Edge], seed: int, number: int) -> dict[str, Any]:
    sku, most = f"STORM{number}", 1 if number % 2 == 0 else 3
    await _deliver(scene, sku)
    generator = stream(seed, f"storm {number}")
    wishes = [
        PlaceRequest(
            f"storm-{number}-{place}",
            str(UUID(int=place + 1, version=4)),
            (RequestedLine(sku, generator.randint(1, most)),),
        )
        for place in range(ORDERS)
    ]
    await asyncio.gather(*(_place(scene, edges[place % 2], wish) for place, wish in enumerate(wishes)))
    target = scene.group.verify_target()
    await wait_for_quiet(target, timeout_seconds=QUIET_SECONDS)
    orders = [
        order
        for order in await read_orders(target.databases, since=scene.history.began_time)
        if order.lines[0].sku == sku
    ]
    told = outcome(orders)
    scene.say(f"storm {number + 1}: {ORDERS} orders for {IN_STOCK} of {sku}: {told['sold']} sold, {told['left']} left")
    on_hand = await scene.group.fetch_number("inventory", "SELECT on_hand FROM items WHERE sku = $1", sku)
    for wrong in verdict(told, on_hand=on_hand):
        scene.report.violations.append(f"{sku}: {wrong}")
    return {"sku": sku, **told}


def outcome(orders: Sequence[StoredOrder]) -> dict[str, Any]:
    """Count what a storm came to."""
    sold = sum(order.lines[0].quantity for order in orders if order.state == "CONFIRMED")
    refused = [order.lines[0].quantity for order in orders if order.state == "REJECTED"]
    return {
        "orders": len(orders),
        "sold": sold,
        "left": IN_STOCK - sold,
        "refused": len(refused),
        "smallest_refused": min(refused, default=None),
    }


def verdict(told: dict[str, Any], *, on_hand: int) -> list[str]:
    """Say what is wrong with a storm's outcome."""
    found = []
    if told["orders"] != ORDERS:
        found.append(f"{told['orders']} orders are kept of {ORDERS}")
    if told["left"] < 0:
        found.append(f"{told['sold']} units were sold of {IN_STOCK}")
    if told["smallest_refused"] is not None and told["left"] >= told["smallest_refused"]:
        found.append(f"an order of {told['smallest_refused']} was refused, and {told['left']} are left")
    if on_hand != told["left"]:
        found.append(f"{on_hand} are on the shelf, and {told['left']} were not sold")
    return found


async def _deliver(scene: CampaignContext, sku: str) -> None:
    command = inventory.Restock(f"deliver-{sku}", (inventory.Delivery(sku, IN_STOCK, UNIT_PRICE),))
    scene.history.deliveries.append(Delivered(command.request_id, sku, IN_STOCK))
    async with scene.group.stock() as stock:
        with deadline.within(CALL_SECONDS):
            await stock.restock(command)


async def _place(scene: CampaignContext, edge: Edge, wish: PlaceRequest) -> None:
    """Place one order, and repeat it under its id until its outcome is known."""
    pauses = stream(0, wish.request_id)
    for _ in range(ATTEMPTS):
        sent_seconds = scene.history.seconds()
        answer = await edge.send(wish, seconds=CALL_SECONDS)
        scene.history.record(wish, edge.name, sent_seconds, answer)
        if answer.known:
            return
        await asyncio.sleep(pauses.uniform(*PAUSE_SECONDS))
