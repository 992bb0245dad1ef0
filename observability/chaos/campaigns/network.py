"""Network campaign: each impairment on each network path; no request may hang, and nothing may be lost.

A proxy is on every path: customers to order, order to inventory, services to PostgreSQL, relay and consumers to NATS.
Under load, each path has each impairment for a while, one after the other. Requests that do not pass the impaired path
itself must be answered within the deadline. Afterwards all invariants are checked.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from observability.chaos.campaign_context import CampaignContext, Say
from observability.chaos.campaign_report import Report
from observability.chaos.history import History
from observability.chaos.platform_options import CampaignPlatformOptions
from observability.chaos.workload import Workload, WorkloadOptions
from observability.network.proxy import Delay, Impairment, Proxy, rerouted
from observability.testbed.api_clients import ATTEMPT_SECONDS, ApiClient, open_api_clients
from observability.testbed.process_group import QUICK, ProcessGroup
from observability.testbed.requests import ApiName
from services.local.platform.plan import notification_stores, order_stores, replica_settings, shard_replica_settings
from services.local.servers.ports import local_address

FAULT_SECONDS = 6.0
REST_SECONDS = 4.0
# The edge's own deadline, and what a busy machine may add to it.
DEADLINE_SECONDS = 2.0
SLACK_SECONDS = 1.0
CLIENT_PATH = "client-order"
NO_DELAY = Delay(latency_seconds=0.0)
POSTGRES_PORT = 5432


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkOptions(CampaignPlatformOptions):
    """Options of the campaign; `faults` are the impairments of each path."""

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
    group_options = options.process_group(folder, environment=QUICK)
    async with ProcessGroup.open(group_options) as group, _network(group) as net:
        context = CampaignContext(group, History(), report, say)
        await asyncio.gather(*(group.start_ready(name, **net.environment) for name in group.processes))
        async with net.api_clients() as apis, group.stock() as stock:
            settings = WorkloadOptions(seed=options.seed, has_replicas=options.replicas > 0)
            workload = Workload(settings, apis=apis, stock=stock, history=context.history)
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
    ports, foundation = group.ports, group.foundation
    replicas, event_log = foundation.replica_databases, foundation.event_log
    names = {server.port: server.start.name for server in foundation.postgres_servers}
    async with AsyncExitStack() as stack:

        async def proxy(port: int) -> Proxy:
            return await stack.enter_async_context(Proxy.open(target=local_address(port), delay=NO_DELAY, seed=0))

        def through(url: str) -> str:
            return rerouted(url, servers[port_of(url)].address)

        inventory = await proxy(ports.inventory_grpc)
        proxies = {
            CLIENT_PATH: [await proxy(ports.edge_http), await proxy(ports.order_grpc)],
            "order-inventory": [inventory],
        }
        servers: dict[int, Proxy] = {}
        for url in [dsn for dsns in (foundation.databases, *replicas) for dsn in dsns.values()] + [event_log.url]:
            if (port := port_of(url)) not in servers:
                servers[port] = await proxy(port)
                name = "nats" if port == ports.nats else names.get(port, "postgres")
                proxies[f"services-{name}"] = [servers[port]]
        databases = {name: through(dsn) for name, dsn in foundation.databases.items()}
        replicas = tuple({name: through(dsn) for name, dsn in dsns.items()} for dsns in replicas)
        event_log = replace(event_log, url=through(event_log.url), shard_urls=tuple(map(through, event_log.shard_urls)))
        environment = {
            "ORDER_INVENTORY_TARGET": inventory.address,
            "INVENTORY_DATABASE_DSN": databases["inventory"],
            **order_stores(databases=databases, event_log=event_log),
            **notification_stores(dsn=databases["notification"], event_log=event_log),
            **replica_settings(
                replicas,
                INVENTORY_REPLICA_DSNS="inventory",
                ORDER_REPLICA_DSNS="order",
                ORDER_READ_REPLICA_DSNS="order_read",
            ),
            **shard_replica_settings(replicas),
        }
        yield Network(proxies=proxies, environment=environment)


def port_of(url: str) -> int:
    """Return the port of a server's URL; PostgreSQL's own if it names none."""
    return urlsplit(url).port or POSTGRES_PORT
