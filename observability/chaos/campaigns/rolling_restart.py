"""Rolling restart campaign: every process is restarted, one at a time, under load; no customer may see an error.

Two processes of each service run. A load balancer sends each request to one of two edges. If the connection fails or is
lost, or the edge is overloaded, it retries once on the other edge, with the same id. An error after that is visible to
the customer. Order's own clients call inventory, and know both of its processes.
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
from observability.chaos.platform_options import CampaignPlatformOptions
from observability.chaos.workload import UNIT_PRICE
from observability.load.orders import stream
from observability.testbed.api_clients import ApiClient, RestApiClient
from observability.testbed.process_group import PLAIN, SECOND_INVENTORY, SECOND_ORDER, ProcessGroup
from observability.testbed.requests import PlaceRequest, ReadRequest, RequestedLine, Response
from services.infra import deadline
from services.inventory import api as inventory
from services.local.servers.ports import local_address

REPLICAS = {"inventory": ("inventory", SECOND_INVENTORY), "order": ("order", SECOND_ORDER)}
SKUS = tuple(f"ROLLING{number}" for number in range(20))
IN_STOCK = 1_000_000
CLIENTS = 8
THINK_SECONDS = 0.2
READ_SHARE = 0.3
CALL_SECONDS = 10.0
# The edge is gone or has done nothing, so the other edge may be tried.
RETRIED_AT_THE_OTHER_EDGE = frozenset({"CONNECTION_LOST", "OVERLOADED"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RollingOptions(CampaignPlatformOptions):
    """Options of the campaign; `times` is the number of restarts of a service, alternating between the services."""

    seed: int
    times: int


@dataclass(slots=True)
class Balancer:
    """Load balancer: alternates between edges, and retries once on the other one."""

    edges: Sequence[ApiClient]
    turn: int = 0
    sent_again: int = 0

    async def send(self, request: PlaceRequest | ReadRequest) -> Response:
        """Send a request, and retry it once on the other edge."""
        self.turn += 1
        first, other = self.edges[self.turn % 2], self.edges[(self.turn + 1) % 2]
        answer = await first.send(request, seconds=CALL_SECONDS)
        if answer.reason in RETRIED_AT_THE_OTHER_EDGE:
            self.sent_again += 1
            answer = await other.send(request, seconds=CALL_SECONDS)
        return answer


async def rolling(options: RollingOptions, folder: Path, say: Say) -> Report:
    """Run the campaign. Raises LocalError, TestbedError."""
    report = Report("rolling-restart", asdict(options))
    group_options = options.process_group(folder, environment=PLAIN)
    async with ProcessGroup.open(group_options, more=(SECOND_INVENTORY, SECOND_ORDER)) as group:
        context = CampaignContext(group, History(), report, say)
        await group.start_all()
        await _deliver(context)
        async with _balancer(group) as balancer:
            answers = Counter[str]()
            async with _customers(context, balancer, options.seed, answers):
                for number in range(options.times):
                    await _restart(context, tuple(REPLICAS)[number % len(REPLICAS)], number)
        errors = {reason: count for reason, count in answers.items() if reason not in {"CONFIRMED", "PENDING"}}
        report.figures |= {
            "requests_answered": answers.total(),
            "answers": dict(answers),
            "sent_to_the_other_edge": balancer.sent_again,
            "client_visible_errors": sum(errors.values()),
        }
        report.expect(not errors, f"customers saw errors: {errors}")
        return await context.conclude()


async def _restart(context: CampaignContext, service: str, number: int) -> None:
    """Stop and start each process of a service, one after the other."""
    began = context.history.seconds()
    for name in REPLICAS[service]:
        await context.group.stop(name)
        await context.group.start_ready(name)
    context.say(f"restart {number + 1}, of {service}: {context.history.seconds() - began:.1f} s")


@asynccontextmanager
async def _balancer(group: ProcessGroup) -> AsyncIterator[Balancer]:
    async with AsyncExitStack() as stack:
        edges = []
        for name in REPLICAS["order"]:
            session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
            await stack.enter_async_context(session)
            edges.append(RestApiClient(session, str(local_address(group.ports_of(name).edge_http))))
        yield Balancer(edges)


@asynccontextmanager
async def _customers(
    context: CampaignContext, balancer: Balancer, seed: int, answers: Counter[str]
) -> AsyncIterator[None]:
    """Let customers place orders and read them during a with block."""
    ended = asyncio.Event()
    async with asyncio.TaskGroup() as customers:
        for number in range(CLIENTS):
            customers.create_task(
                _customer(context, balancer, stream(seed, f"customer {number}"), number, answers, ended)
            )
        try:
            yield
        finally:
            ended.set()


async def _customer(
    context: CampaignContext,
    balancer: Balancer,
    generator: random.Random,
    number: int,
    answers: Counter[str],
    ended: asyncio.Event,
) -> None:
    customer_id, count = str(UUID(int=number + 1, version=4)), 0
    last: Response | None = None
    while not ended.is_set():
        count += 1
        if last and generator.random() < READ_SHARE:
            request: PlaceRequest | ReadRequest = ReadRequest(
                f"read-{number}-{count}",
                customer_id,
                last.order_id,
                consistency_token=last.consistency_token,
                seen_version=last.version or 0,
                may_be_older=context.group.options.replicas > 0,
            )
        else:
            request = PlaceRequest(
                f"rolling-{number}-{count}", customer_id, (RequestedLine(generator.choice(SKUS), 1),)
            )
        sent_seconds = context.history.seconds()
        answer = await balancer.send(request)
        context.history.record(request, balancer.edges[0].name, sent_seconds, answer)
        answers[answer.state or answer.reason] += 1
        last = answer if answer.order_id else last
        await asyncio.sleep(generator.expovariate(1 / THINK_SECONDS))


async def _deliver(context: CampaignContext) -> None:
    for sku in SKUS:
        context.history.deliveries.append(Delivered(f"deliver-{sku}", sku, IN_STOCK))
    async with context.group.stock() as stock:
        with deadline.within(CALL_SECONDS):
            for sku in SKUS:
                await stock.restock(
                    inventory.Restock(f"deliver-{sku}", (inventory.Delivery(sku, IN_STOCK, UNIT_PRICE),))
                )
