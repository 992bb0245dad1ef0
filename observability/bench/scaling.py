"""Benchmark of scaling: orders a second with 1, 2 and 4 order database servers, measured and predicted by a model.

All servers share the processors of this machine, which would hide what more machines can do. So each server has a
network delay of some milliseconds and a pool of one connection: orders queue for that connection, and each further
server adds one. The parameters of the model come from the measurement with one server alone.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import orjson

from observability.analysis.metrics_page import parse_page
from observability.analysis.openmetrics import histogram_deltas
from observability.bench.scaling_model import OrderDemand, most_per_second, orders_per_second, with_delay_of
from observability.bench.shard_key_demand import CUSTOMER_EXPONENT, CUSTOMERS
from observability.experiments.experiment import Variant
from observability.experiments.runner.block import observing_into
from observability.experiments.runner.errors import TrialError
from observability.experiments.runner.testbed import Serving, Testbed
from observability.load.capacity import Probe, measure_capacity
from observability.network.proxy import Delay
from observability.testbed.process_metrics import open_processes
from services.order.domain.logical_shard import LOGICAL_SHARDS
from services.order.domain.shard_map import spread

MEASURED = (1, 2, 4)
PREDICTED = (2, 4, 8, 64, 256)
CUSTOMERS_EACH = 3
LINES = (1, 6)
DRAWN = 20

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingOptions:
    """Options of the benchmark.

    servers: numbers of servers to measure, the first one 1.
    rounds: measurements with each number of servers.
    away_seconds: network delay between an order process and each server, one way.
    seed: fixes the orders.
    directory: where the testbeds write.
    """

    servers: tuple[int, ...] = MEASURED
    rounds: int
    away_seconds: float
    seed: int
    directory: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingFigures:
    """One measurement.

    servers: servers of orders.
    customers: customers of the closed loop.
    sold_per_second: orders sold a second.
    server_seconds: time that an order holds a connection to its server.
    processor_seconds: processor time of an order, of all processes.
    """

    servers: int
    customers: int
    sold_per_second: float
    server_seconds: float
    processor_seconds: float


async def measure(options: ScalingOptions, *, say: Say) -> list[ScalingFigures]:
    """Measure with each number of servers. Raises LocalError, LoadError, TrialError, TestbedError."""
    figures = []
    variant = {
        servers: Variant(
            environment={"order": {"ORDER_DATABASE_POOL_SIZE": "1"}},
            network={"order-database": Delay(latency_seconds=options.away_seconds)},
            shards=servers,
        )
        for servers in options.servers
    }
    for servers in options.servers:
        folder = options.directory / f"{servers}-servers"
        async with Testbed.open(folder, shards=servers) as testbed:
            for number in range(options.rounds):
                async with testbed.serving(variant[servers]) as serving:
                    seen = folder / f"seen-{number}"
                    figures.append(await _measure(serving, servers, seen, seed=options.seed + number))
                say(f"{servers} servers: {figures[-1].sold_per_second:.1f} orders a second")
    return figures


async def _measure(serving: Serving, servers: int, folder: Path, *, seed: int) -> ScalingFigures:
    processes = open_processes(serving.pids, serving.postgres_pids)
    before = sum(process.use().cpu_seconds for process in processes.values())
    customers = CUSTOMERS_EACH * servers
    probe = Probe(
        target=serving.edge,
        seed=seed,
        service_pids=serving.pids,
        cpu=serving.generator_cpu,
        lines=LINES,
        customers=customers,
    )
    async with observing_into(folder, serving):
        capacity, _ = await measure_capacity(probe, folder=folder)
    if not capacity.sold_per_second:
        raise TrialError(f"{customers} customers got nothing sold in time: free this machine of other work")
    used = sum(process.use().cpu_seconds for process in processes.values()) - before
    held = held_seconds(folder / "scrapes.jsonl", servers)
    return ScalingFigures(
        servers=servers,
        customers=customers,
        sold_per_second=capacity.sold_per_second,
        server_seconds=held / capacity.orders,
        processor_seconds=used / capacity.orders,
    )


def held_seconds(scrapes: Path, servers: int) -> float:
    """Return the time that the order process held connections to its servers, from the first scrape to the last."""
    pages = [parse_page(row["text"]) for row in map(orjson.loads, scrapes.open("rb")) if row["target"] == "order"]
    names = {"order", *(f"order_{number}" for number in range(1, servers))}
    held = histogram_deltas(pages[0], pages[-1], "db_client_connection_use_time_seconds")
    return sum(each.sum for each in held if each.labels.get("db_client_connection_pool_name") in names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """What the model predicts for a number of servers, with `customers` in a closed loop.

    hot_spot_ratio: load of the busiest server / mean load.
    measured_per_second: mean of the measurements; None where nothing was measured.
    here_per_second: orders a second on this machine, whose processor all share.
    apart_per_second: the same where each server and its services have a processor of their own.
    most_per_second: upper limit of apart_per_second for any number of customers.
    """

    servers: int
    customers: int
    hot_spot_ratio: float
    measured_per_second: float | None
    here_per_second: float
    apart_per_second: float
    most_per_second: float

    @property
    def error(self) -> float | None:
        """The relative error of the prediction for this machine."""
        return None if self.measured_per_second is None else self.here_per_second / self.measured_per_second - 1


def demand_of(figures: Sequence[ScalingFigures]) -> OrderDemand:
    """Return what one order needs, from the measurements with one server alone."""
    alone = [each for each in figures if each.servers == 1]
    demand = OrderDemand(
        server_seconds=fmean(each.server_seconds for each in alone),
        processor_seconds=fmean(each.processor_seconds for each in alone),
        delay_seconds=0.0,
    )
    sold = fmean(each.sold_per_second for each in alone)
    return with_delay_of(demand, customers=alone[0].customers, measured_per_second=sold)


def predict(figures: Sequence[ScalingFigures], *, seed: int) -> list[Predicted]:
    """Return the model's prediction for each number of servers, measured or not."""
    demand, sold = demand_of(figures), defaultdict[int, list[float]](list)
    for each in figures:
        sold[each.servers].append(each.sold_per_second)
    apart = OrderDemand(
        server_seconds=demand.server_seconds,
        processor_seconds=0.0,
        delay_seconds=demand.delay_seconds + demand.processor_seconds,
    )
    found = []
    for servers in sorted({*sold, *PREDICTED}):
        # The customers of the load are alike; those of a shop are not.
        shares, customers = drawn_shares(servers, seed=seed), CUSTOMERS_EACH * servers
        found.append(
            Predicted(
                servers=servers,
                customers=customers,
                hot_spot_ratio=max(shares) * servers,
                measured_per_second=fmean(sold[servers]) if servers in sold else None,
                here_per_second=orders_per_second(demand, (1 / servers,) * servers, customers=customers),
                apart_per_second=orders_per_second(apart, shares, customers=customers),
                most_per_second=most_per_second(apart, shares),
            )
        )
    return found


def drawn_shares(servers: int, *, seed: int) -> tuple[float, ...]:
    """Return the mean share of the busiest server, of the second, and so on, under many draws of the customers' hashes.

    The customers order as often as those of `plumb bench shard-keys`.
    """
    chance, shard_map = random.Random(seed), spread(servers, epoch=1)
    weights = [(rank + 1) ** -CUSTOMER_EXPONENT for rank in range(CUSTOMERS)]
    totals = [0.0] * servers
    for _ in range(DRAWN):
        loads = [0.0] * servers
        for weight in weights:
            loads[shard_map.servers[chance.randrange(LOGICAL_SHARDS)]] += weight
        totals = [total + load for total, load in zip(totals, sorted(loads, reverse=True), strict=True)]
    return tuple(total / sum(totals) for total in totals)
