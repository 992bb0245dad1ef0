"""What if the network between any two breaks, in each way that it can? Nobody hangs, and nothing is lost.

Proxies stand on every edge: between customers and order, order and inventory, the services and PostgreSQL, the relay
and its consumers and NATS. Under load each of them suffers each fault for a while, one after the other. What does not
pass the broken edge itself is answered within the deadline; afterwards everything is examined as always.
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
from observability.chaos.workload import Traffic, TrafficOptions
from observability.network.proxy import Delay, Impairment, Proxy, rerouted
from observability.testbed.api_clients import ATTEMPT_SECONDS, Edge, open_edges
from observability.testbed.process_group import QUICK, ProcessGroup, ProcessGroupOptions
from observability.testbed.requests import EdgeName
from services.local.platform.endpoints import Bus
from services.local.servers.ports import local_address

FAULT_SECONDS = 6.0
REST_SECONDS = 4.0
# The edge's own limit, and what a busy machine may add to it.
DEADLINE_SECONDS = 2.0
SLACK_SECONDS = 1.0
CLIENT_EDGE = "client-order"
NO_DELAY = Delay(latency_seconds=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkOptions:
    """The campaign's options; `faults` are those that each edge suffers."""

    bus: Bus
    seed: int
    faults: Sequence[Impairment] = tuple(Impairment)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The proxies by edge, and what the processes are told instead of the real addresses."""

    proxies: Mapping[str, Sequence[Proxy]]
    environment: Mapping[str, str]

    @asynccontextmanager
    async def edges(self) -> AsyncIterator[tuple[Edge, Edge]]:
        """Open the public edges, by their proxies, for the time of a block."""
        http, rpc = self.proxies[CLIENT_EDGE]
        async with open_edges(edge_http=http.address, order_grpc=rpc.address) as edges:
            yield edges


async def network(options: NetworkOptions, folder: Path, say: Say) -> Report:
    """Carry the campaign out. Raises LocalError, TestbedError."""
    report = Report("network", asdict(options))
    house_options = ProcessGroupOptions(folder=folder, mode="services", bus=options.bus, environment=QUICK)
    async with ProcessGroup.open(house_options) as group, _network(group) as net:
        scene = CampaignContext(group, History(), report, say)
        await asyncio.gather(*(group.start_ready(name, **net.environment) for name in group.processes))
        async with net.edges() as edges, group.stock() as stock:
            traffic = Traffic(TrafficOptions(seed=options.seed), edges=edges, stock=stock, history=scene.history)
            await traffic.stock_up()
            async with traffic.going_on():
                report.figures["faults"] = [
                    await _suffer(scene, edge, proxies, fault)
                    for edge, proxies in net.proxies.items()
                    for fault in options.faults
                ]
        return await scene.conclude()


async def _suffer(scene: CampaignContext, edge: str, proxies: Sequence[Proxy], fault: Impairment) -> dict[str, Any]:
    """Let an edge suffer a fault, then rest; return how long the slowest answer took by way of asking."""
    scene.say(f"{edge}: {fault}")
    began = scene.history.seconds()
    with _all_impaired(proxies, fault):
        await asyncio.sleep(FAULT_SECONDS)
    await asyncio.sleep(REST_SECONDS)
    exchanges = [each for each in scene.history.exchanges if each.sent_seconds >= began]
    slowest = {
        name: max((each.answered_seconds - each.sent_seconds for each in exchanges if each.edge is name), default=0.0)
        for name in EdgeName
    }
    # Who cannot reach the edge at all is answered by nobody, and has a limit of its own.
    limit = (ATTEMPT_SECONDS if edge == CLIENT_EDGE else DEADLINE_SECONDS) + SLACK_SECONDS
    hung = slowest[EdgeName.REST] > limit or slowest[EdgeName.GRPC] > ATTEMPT_SECONDS + SLACK_SECONDS
    scene.report.expect(not hung, f"{edge}, {fault}: an answer took {max(slowest.values()):.1f} s")
    known = sum(each.answer.known for each in exchanges)
    return {
        "edge": edge,
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
    """Put a proxy on each edge for the time of a block."""
    ports, databases = group.ports, group.foundation.databases
    async with AsyncExitStack() as stack:

        async def proxy(port: int) -> Proxy:
            return await stack.enter_async_context(Proxy.open(target=local_address(port), delay=NO_DELAY, seed=0))

        inventory = await proxy(ports.inventory_grpc)
        postgres = await proxy(urlsplit(databases["order"]).port or 5432)
        proxies = {
            CLIENT_EDGE: [await proxy(ports.edge_http), await proxy(ports.order_grpc)],
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
