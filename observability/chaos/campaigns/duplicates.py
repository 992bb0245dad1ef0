"""What if everything comes twice, and then again and again? Nothing has a second effect, however often it is delivered.

Every request is sent three times under its id. Then the consumers' places in the log are set back to its beginning, and
now and then the log itself is emptied and filled again, until so many deliveries had come before.
"""

import asyncio
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

from observability.chaos.campaign_context import CampaignContext, Say
from observability.chaos.campaign_report import Report
from observability.chaos.history import Delivered, History
from observability.chaos.workload import UNIT_PRICE
from observability.invariants.quiescence import wait_for_quiet
from observability.testbed.api_clients import Edge
from observability.testbed.process_group import PLAIN, ProcessGroup, ProcessGroupOptions
from observability.testbed.requests import CancelRequest, PlaceRequest, RequestedLine
from services.infra import deadline
from services.inventory import api as inventory
from services.local.platform.endpoints import Bus

ORDERS = 600
AT_ONCE = 20
CALL_SECONDS = 10.0
QUIET_SECONDS = 120.0
# One lap in so many empties the log itself.
WIPE_EVERY = 5
SKU = "TWICE"
# The effects: what the list of orders shows, and who was told. Their own times of writing are part of them.
EFFECTS = {
    "order_read": "SELECT * FROM order_summaries ORDER BY order_id",
    "notification": "SELECT event_id, order_id, state, send_time FROM notifications ORDER BY event_id",
}
REWIND = "UPDATE consumer_cursors SET position = 0"


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicatesOptions:
    """The campaign's options; `deliveries` is the number of repeated deliveries to come to."""

    bus: Bus
    deliveries: int


async def duplicates(options: DuplicatesOptions, folder: Path, say: Say) -> Report:
    """Carry the campaign out. Raises LocalError, TestbedError, NotQuiet."""
    report = Report("duplicates", asdict(options))
    house_options = ProcessGroupOptions(folder=folder, mode="services", bus=options.bus, environment=PLAIN)
    async with ProcessGroup.open(house_options) as group:
        scene = CampaignContext(group, History(), report, say)
        await group.start_all()
        say(f"sending {ORDERS} orders, each three times, and cancelling every third, twice")
        await _ask(scene)
        await _quiet(scene)
        before = await _effects(group)
        sent_before, laps = await _sent(scene), 0
        while await _repeated(scene) < options.deliveries:
            await (group.wipe_log() if laps % WIPE_EVERY == WIPE_EVERY - 1 else _rewind(group))
            await _quiet(scene)
            laps += 1
            say(f"lap {laps}: {await _repeated(scene):,} of {options.deliveries:,} deliveries had come before")
        report.expect(await _effects(group) == before, "an effect changed when its event came again")
        report.expect(await _sent(scene) == sent_before, "a confirmation was sent again")
        report.figures |= {
            "laps": laps,
            "wiped": laps // WIPE_EVERY,
            "repeated_deliveries": await _repeated(scene),
            "effects": {name: rows for name, (rows, _) in before.items()},
            "confirmations_sent": sent_before,
        }
        return await scene.conclude()


async def _ask(scene: CampaignContext) -> None:
    """Send every request three times, twice of that at once by both edges."""
    stocked = 10 * ORDERS
    command = inventory.Restock("deliver", (inventory.Delivery(SKU, stocked, UNIT_PRICE),))
    scene.history.deliveries.append(Delivered("deliver", SKU, stocked))
    async with scene.group.edges() as (rest, grpc), scene.group.stock() as stock:
        for _ in range(3):
            with deadline.within(CALL_SECONDS):
                await stock.restock(command)
        limit = asyncio.Semaphore(AT_ONCE)

        async def customer(number: int) -> None:
            customer_id = str(UUID(int=number % 7 + 1, version=4))
            place = PlaceRequest(f"place-{number}", customer_id, (RequestedLine(SKU, number % 3 + 1),))
            async with limit:
                order_id, _ = await asyncio.gather(_send(scene, rest, place), _send(scene, grpc, place))
                await _send(scene, rest, place)
                if number % 3 == 0:
                    cancel = CancelRequest(f"cancel-{number}", customer_id, order_id)
                    await asyncio.gather(_send(scene, rest, cancel), _send(scene, grpc, cancel))

        await asyncio.gather(*(customer(number) for number in range(ORDERS)))


async def _send(scene: CampaignContext, edge: Edge, request: PlaceRequest | CancelRequest) -> str:
    """Send until the outcome is known; return the order's id."""
    while True:
        sent_seconds = scene.history.seconds()
        answer = await edge.send(request, seconds=CALL_SECONDS)
        scene.history.record(request, edge.name, sent_seconds, answer)
        if answer.known or scene.history.seconds() > QUIET_SECONDS:
            return answer.order_id
        await asyncio.sleep(0.1)


async def _quiet(scene: CampaignContext) -> None:
    await wait_for_quiet(scene.group.verify_target(), timeout_seconds=QUIET_SECONDS)


async def _rewind(group: ProcessGroup) -> None:
    for database in EFFECTS:
        await group.execute(database, REWIND)


async def _repeated(scene: CampaignContext) -> int:
    """Count the deliveries that had no effect since they had come before, by the consumers' own metric."""
    return round(sum([await scene.counter(name, "shop_consumer_duplicates") for name in ("order", "notification")]))


async def _sent(scene: CampaignContext) -> int:
    return round(await scene.counter("notification", "shop_notifications_sent"))


async def _effects(group: ProcessGroup) -> dict[str, tuple[int, str]]:
    """Return how many effects there are in each database, and a digest of them."""
    found: dict[str, tuple[int, str]] = {}
    for database, select in EFFECTS.items():
        rows: list[Any] = [tuple(row.values()) for row in await group.fetch(database, select)]
        found[database] = len(rows), sha256(repr(rows).encode()).hexdigest()
    return found
