"""Duplicates campaign: repeated requests and redelivered events must have no second effect.

Every request is sent three times with its id. Then the consumers' cursors are reset to the start of the log, and now
and then the log itself is emptied and republished, until so many deliveries were duplicates.
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
from observability.chaos.platform_options import CampaignPlatformOptions
from observability.chaos.workload import UNIT_PRICE
from observability.invariants.quiescence import QUIET_SECONDS, wait_for_quiet
from observability.testbed.api_clients import ApiClient
from observability.testbed.process_group import PLAIN, ProcessGroup
from observability.testbed.requests import CancelRequest, PlaceRequest, RequestedLine
from services.infra import deadline
from services.inventory import api as inventory

ORDERS = 600
AT_ONCE = 20
CALL_SECONDS = 10.0
# Every fifth lap empties the log itself.
WIPE_EVERY = 5
SKU = "TWICE"
# The effects: the read model and the notifications. The times of writing are part of them, so a rewrite shows.
EFFECTS = {
    "order_read": "SELECT * FROM order_summaries ORDER BY order_id",
    "notification": "SELECT event_id, order_id, state, send_time FROM notifications ORDER BY event_id",
}
REWIND = "UPDATE consumer_cursors SET position = 0"


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicatesOptions(CampaignPlatformOptions):
    """Options of the campaign; `deliveries` is the number of duplicate deliveries to reach."""

    deliveries: int


async def duplicates(options: DuplicatesOptions, folder: Path, say: Say) -> Report:
    """Run the campaign. Raises LocalError, TestbedError, NotQuiet."""
    report = Report("duplicates", asdict(options))
    async with ProcessGroup.open(options.process_group(folder, environment=PLAIN)) as group:
        context = CampaignContext(group, History(), report, say)
        await group.start_all()
        say(f"sending {ORDERS} orders, each three times, and cancelling every third, twice")
        await _ask(context)
        await _quiet(context)
        before = await _effects(group)
        sent_before, laps = await _sent(context), 0
        while await _repeated(context) < options.deliveries:
            await (group.wipe_log() if laps % WIPE_EVERY == WIPE_EVERY - 1 else _rewind(group))
            await _quiet(context)
            laps += 1
            say(f"lap {laps}: {await _repeated(context):,} of {options.deliveries:,} duplicate deliveries")
        report.expect(await _effects(group) == before, "an effect changed when its event was redelivered")
        report.expect(await _sent(context) == sent_before, "a confirmation was sent again")
        report.figures |= {
            "laps": laps,
            "wiped": laps // WIPE_EVERY,
            "repeated_deliveries": await _repeated(context),
            "effects": {name: rows for name, (rows, _) in before.items()},
            "confirmations_sent": sent_before,
        }
        return await context.conclude()


async def _ask(context: CampaignContext) -> None:
    """Send every request three times, two of them at once over both APIs."""
    stocked = 10 * ORDERS
    command = inventory.Restock("deliver", (inventory.Delivery(SKU, stocked, UNIT_PRICE),))
    context.history.deliveries.append(Delivered("deliver", SKU, stocked))
    async with context.group.api_clients() as (rest, grpc), context.group.stock() as stock:
        for _ in range(3):
            with deadline.within(CALL_SECONDS):
                await stock.restock(command)
        limit = asyncio.Semaphore(AT_ONCE)

        async def customer(number: int) -> None:
            customer_id = str(UUID(int=number % 7 + 1, version=4))
            place = PlaceRequest(f"place-{number}", customer_id, (RequestedLine(SKU, number % 3 + 1),))
            async with limit:
                order_id, _ = await asyncio.gather(_send(context, rest, place), _send(context, grpc, place))
                await _send(context, rest, place)
                if number % 3 == 0:
                    cancel = CancelRequest(f"cancel-{number}", customer_id, order_id)
                    await asyncio.gather(_send(context, rest, cancel), _send(context, grpc, cancel))

        await asyncio.gather(*(customer(number) for number in range(ORDERS)))


async def _send(context: CampaignContext, api: ApiClient, request: PlaceRequest | CancelRequest) -> str:
    """Repeat a request until its outcome is known, and return the order's id."""
    while True:
        sent_seconds = context.history.seconds()
        answer = await api.send(request, seconds=CALL_SECONDS)
        context.history.record(request, api.name, sent_seconds, answer)
        if answer.known or context.history.seconds() > QUIET_SECONDS:
            return answer.order_id
        await asyncio.sleep(0.1)


async def _quiet(context: CampaignContext) -> None:
    await wait_for_quiet(context.group.verify_target(), timeout_seconds=QUIET_SECONDS)


async def _rewind(group: ProcessGroup) -> None:
    for database in EFFECTS:
        await group.execute(database, REWIND)


async def _repeated(context: CampaignContext) -> int:
    """Return the number of duplicate deliveries, by the consumers' own metric."""
    return round(sum([await context.counter(name, "shop_consumer_duplicates") for name in ("order", "notification")]))


async def _sent(context: CampaignContext) -> int:
    return round(await context.counter("notification", "shop_notifications_sent"))


async def _effects(group: ProcessGroup) -> dict[str, tuple[int, str]]:
    """Return the number of effects in each database, and a digest of them."""
    found: dict[str, tuple[int, str]] = {}
    for database, select in EFFECTS.items():
        rows: list[Any] = [tuple(row.values()) for row in await group.fetch(database, select)]
        found[database] = len(rows), sha256(repr(rows).encode()).hexdigest()
    return found
