"""What if everything is restarted, a process at a time, while customers go on? None of them may notice.

Two processes of each service run. A customer's request goes to one of two edges, as a balancer sends it: one whose
connection is refused or lost, or that has no place for it, is relieved of it by the other edge, once, under the same
id. What then still fails is an error that a customer sees. Inventory is called by order's own clients, which know both
of its processes.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import UUID

import aiohttp

from observability.chaos.campaign_context import CampaignContext, Say
from observability.chaos.campaign_report import Report
from observability.chaos.history import Delivered, History
from observability.chaos.workload import UNIT_PRICE
from observability.load.orders import stream
from observability.testbed.api_clients import Edge, RestEdge
from observability.testbed.process_group import PLAIN, SECOND_INVENTORY, SECOND_ORDER, ProcessGroup, ProcessGroupOptions
from observability.testbed.requests import PlaceRequest, ReadRequest, RequestedLine, Response
from services.infra import deadline
from services.inventory import api as inventory
from services.local.platform.endpoints import Bus
from services.local.servers.ports import local_address

REPLICAS = {"inventory": ("inventory", SECOND_INVENTORY), "order": ("order", SECOND_ORDER)}
SKUS = tuple(f"ROLLING{number}" for number in range(20))
IN_STOCK = 1_000_000
CLIENTS = 8
THINK_SECONDS = 0.2
READ_SHARE = 0.3
CALL_SECONDS = 10.0
# The edge is gone, or has done nothing: the other one may do it.
TO_THE_OTHER = frozenset({"CONNECTION_LOST", "OVERLOADED"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RollingOptions:
    """The campaign's options: so many times all processes of a service are restarted, the services by turns."""

    bus: Bus
    seed: int
    times: int


@dataclass(slots=True)
class Balancer:
    """Takes turns between edges, and sends what one of them lost or refused to the next, once."""

    edges: Sequence[Edge]
    turn: int = 0
    sent_again: int = 0

    async def send(self, request: PlaceRequest | ReadRequest) -> Response:
        """Send a request."""
        self.turn += 1
        first, other = self.edges[self.turn % 2], self.edges[(self.turn + 1) % 2]
        answer = await first.send(request, seconds=CALL_SECONDS)
        if answer.reason in TO_THE_OTHER:
            self.sent_again += 1
            answer = await other.send(request, seconds=CALL_SECONDS)
        return answer


async def rolling(options: RollingOptions, folder: Path, say: Say) -> Report:
    """Carry the campaign out. Raises LocalError, TestbedError."""
    report = Report("rolling-restart", asdict(options))
    house_options = ProcessGroupOptions(folder=folder, mode="services", bus=options.bus, environment=PLAIN)
    async with ProcessGroup.open(house_options, more=(SECOND_INVENTORY, SECOND_ORDER)) as group:
        scene = CampaignContext(group, History(), report, say)
        await group.start_all()
        await _deliver(scene)
        async with _balancer(group) as balancer:
            told = Counter[str]()
            async with _customers(scene, balancer, options.seed, told):
                for number in range(options.times):
                    await _restart(scene, tuple(REPLICAS)[number % len(REPLICAS)], number)
        errors = {reason: count for reason, count in told.items() if reason not in {"CONFIRMED", "PENDING"}}
        report.figures |= {
            "requests_answered": told.total(),
            "answers": dict(told),
            "sent_to_the_other_edge": balancer.sent_again,
            "client_visible_errors": sum(errors.values()),
        }
        report.expect(not errors, f"customers saw errors: {errors}")
        return await scene.conclude()


async def _restart(scene: CampaignContext, service: str, number: int) -> None:
    """Let each process of a service drain and end, and start it again, one after the other."""
    began = scene.history.seconds()
    for name in REPLICAS[service]:
        await scene.group.stop(name)
        await scene.group.start_ready(name)
    scene.say(f"restart {number + 1}, of {service}: {scene.history.seconds() - began:.1f} s")


@asynccontextmanager
async def _balancer(group: ProcessGroup) -> AsyncIterator[Balancer]:
    async with AsyncExitStack() as stack:
        edges = []
        for name in REPLICAS["order"]:
            session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
            await stack.enter_async_context(session)
            edges.append(RestEdge(session, str(local_address(group.ports_of(name).edge_http))))
        yield Balancer(edges)


@asynccontextmanager
async def _customers(scene: CampaignContext, balancer: Balancer, seed: int, told: Counter[str]) -> AsyncIterator[None]:
    """Let customers place orders and read them for the time of a block."""
    ended = asyncio.Event()
    async with asyncio.TaskGroup() as customers:
        for number in range(CLIENTS):
            customers.create_task(_customer(scene, balancer, stream(seed, f"customer {number}"), number, told, ended))
        try:
            yield
        finally:
            ended.set()


async def _customer(
    scene: CampaignContext,
    balancer: Balancer,
    generator: random.Random,
    number: int,
    told: Counter[str],
    ended: asyncio.Event,
) -> None:
    customer_id, count, last = str(UUID(int=number + 1, version=4)), 0, ""
    while not ended.is_set():
        count += 1
        if last and generator.random() < READ_SHARE:
            request: PlaceRequest | ReadRequest = ReadRequest(f"read-{number}-{count}", customer_id, last)
        else:
            request = PlaceRequest(
                f"rolling-{number}-{count}", customer_id, (RequestedLine(generator.choice(SKUS), 1),)
            )
        sent_seconds = scene.history.seconds()
        answer = await balancer.send(request)
        scene.history.record(request, balancer.edges[0].name, sent_seconds, answer)
        told[answer.state or answer.reason] += 1
        last = answer.order_id or last
        await asyncio.sleep(generator.expovariate(1 / THINK_SECONDS))


async def _deliver(scene: CampaignContext) -> None:
    for sku in SKUS:
        scene.history.deliveries.append(Delivered(f"deliver-{sku}", sku, IN_STOCK))
    async with scene.group.stock() as stock:
        with deadline.within(CALL_SECONDS):
            for sku in SKUS:
                await stock.restock(
                    inventory.Restock(f"deliver-{sku}", (inventory.Delivery(sku, IN_STOCK, UNIT_PRICE),))
                )
