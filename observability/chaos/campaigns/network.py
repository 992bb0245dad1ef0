"""Network campaign: each impairment on each network path; no request may hang, and nothing may be lost.

A proxy is on every path: customers to order, order to inventory, services to PostgreSQL, relay and consumers to NATS.
Under load, each path has each impairment for a while, one after the other. Requests that do not pass the impaired path
itself must be answered within the deadline. Afterwards all invariants are checked.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from observability.chaos.campaign_context import CampaignContext, Say
from observability.chaos.campaign_report import Report
from observability.chaos.history import History
from observability.chaos.workload import Workload, WorkloadOptions
from observability.network.proxy import Delay, Impairment, Proxy, rerouted
from observability.testbed.api_clients import ATTEMPT_SECONDS, ApiClient, open_api_clients
from observability.testbed.process_group import QUICK, ProcessGroup, ProcessGroupOptions
from observability.testbed.requests import ApiName
from services.local.platform.endpoints import Bus
from services.local.servers.ports import local_address

FAULT_SECONDS = 6.0
REST_SECONDS = 4.0
# The edge's own deadline, and what a busy machine may add to it.
DEADLINE_SECONDS = 2.0
SLACK_SECONDS = 1.0
CLIENT_PATH = "client-order"
NO_DELAY = Delay(latency_seconds=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkOptions:
    """Options of the campaign; `faults` are the impairments of each path."""

    bus: Bus
    seed: int
    faults: Sequence[Impairment] = tuple(Impairment)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The proxies by network path, and the settings that make the processes use them."""

    proxies: Mapping[str, Sequence[Proxy]]
    environment: Mapping[str, str]

    @asynccontextmanager
    async def api_clients(self) -> AsyncIterator[tuple[ApiClient, ApiClient]]:
        """Open clients of the public APIs through their proxies, during a with block."""
        http, rpc = self.proxies[CLIENT_PATH]
        async with open_api_clients(edge_http=http.address, order_grpc=rpc.address) as apis:
            yield apis


async def network(options: NetworkOptions, folder: Path, say: Say) -> Report:
    """Run the campaign. Raises LocalError, TestbedError."""
    report = Report("network", asdict(options))
    group_options = ProcessGroupOptions(folder=folder, mode="services", bus=options.bus, environment=QUICK)
    async with ProcessGroup.open(group_options) as group, _network(group) as net:
        context = CampaignContext(group, History(), report, say)
        await asyncio.gather(*(group.start_ready(name, **net.environment) for name in group.processes))
        async with net.api_clients() as apis, group.stock() as stock:
            workload = Workload(WorkloadOptions(seed=options.seed), apis=apis, stock=stock, history=context.history)
            await workload.stock_up()
            async with workload.running():
                report.figures["faults"] = [
                    await _impair(context, path, proxies, fault)
                    for path, proxies in net.proxies.items()
                    for fault in options.faults
                ]
        return await context.conclude()


async def _impair(context: CampaignContext, path: str, proxies: Sequence[Proxy], fault: Impairment) -> dict[str, Any]:
    """Impair one path for a while, then rest; return the number of answers and the slowest one of each API."""
    context.say(f"{path}: {fault}")
    began = context.history.seconds()
    with _all_impaired(proxies, fault):
        await asyncio.sleep(FAULT_SECONDS)
    await asyncio.sleep(REST_SECONDS)
    exchanges = [each for each in context.history.exchanges if each.sent_seconds >= began]
    slowest = {
        name: max((each.answered_seconds - each.sent_seconds for each in exchanges if each.api is name), default=0.0)
        for name in ApiName
    }
    # A client that cannot reach the shop at all has only its own timeout.
    limit = (ATTEMPT_SECONDS if path == CLIENT_PATH else DEADLINE_SECONDS) + SLACK_SECONDS
    hung = slowest[ApiName.REST] > limit or slowest[ApiName.GRPC] > ATTEMPT_SECONDS + SLACK_SECONDS
    context.report.expect(not hung, f"{path}, {fault}: an answer took {max(slowest.values()):.1f} s")
    known = sum(each.answer.known for each in exchanges)
    return {
        "path": path,
        "fault": fault,
        "attempts": len(exchanges),
        "known": known,
        **{f"slowest_{name}_seconds": round(seconds, 2) for name, seconds in slowest.items()},
    }


@contextmanager
def _all_impaired(proxies: Sequence[Proxy], fault: Impairment) -> Iterator[None]:
    with ExitStack() as stack:
        for proxy in proxies:
            stack.enter_context(proxy.impaired(fault))
        yield


@asynccontextmanager
async def _network(group: ProcessGroup) -> AsyncIterator[Network]:
    """Open a proxy on each network path during a with block."""
    ports, databases = group.ports, group.foundation.databases
    async with AsyncExitStack() as stack:

        async def proxy(port: int) -> Proxy:
            return await stack.enter_async_context(Proxy.open(target=local_address(port), delay=NO_DELAY, seed=0))

        inventory = await proxy(ports.inventory_grpc)
        postgres = await proxy(urlsplit(databases["order"]).port or 5432)
        proxies = {
            CLIENT_PATH: [await proxy(ports.edge_http), await proxy(ports.order_grpc)],
            "order-inventory": [inventory],
            "services-postgres": [postgres],
        }
        environment = {
            "ORDER_INVENTORY_TARGET": inventory.address,
            "ORDER_DATABASE_DSN": rerouted(databases["order"], postgres.address),
            "ORDER_READ_DATABASE_DSN": rerouted(databases["order_read"], postgres.address),
            "INVENTORY_DATABASE_DSN": rerouted(databases["inventory"], postgres.address),
            "NOTIFICATION_DATABASE_DSN": rerouted(databases["notification"], postgres.address),
        }
        log = postgres
        if group.options.bus == "nats":
            log = await proxy(ports.nats)
            proxies["services-nats"] = [log]
        url = rerouted(group.foundation.event_log.url, log.address)
        environment |= {"ORDER_EVENT_LOG_URL": url, "NOTIFICATION_EVENT_LOG_URL": url}
        yield Network(proxies=proxies, environment=environment)
