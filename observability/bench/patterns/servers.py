"""Benchmarks of the patterns read replicas and sharding: short forms of `plumb bench replicas` and `shard-keys`."""

from observability.bench import replicas, shard_keys
from observability.bench.patterns.blocks import PatternBench
from observability.bench.patterns.effect import PatternEffect, mean_effect
from observability.bench.replica_servers import start_replica_servers
from observability.bench.shard_key_demand import KEYS, with_keys
from observability.bench.shard_keys import ShardKeysBenchOptions, hot_spot_ratio
from observability.load.arrival_plan import plan_requests
from observability.load.orders import BasketLine

SERVERS, WINDOWS = 4, 8


async def read_replicas(bench: PatternBench) -> list[PatternEffect]:
    """Measure the primary's processor time for a read of an order, from it and from a replica."""
    bench.say("read replicas: a primary and two replicas")
    # Processor time is counted in steps of 10 ms, and a read takes a hundredth of one.
    reads = 6 * bench.sizes.requests
    async with start_replica_servers(directory=bench.folder, seed=bench.seed) as shop:
        primary, replica = await replicas.cpu_of_reads(shop, reads, blocks=bench.sizes.rounds)
    # No ratio: the primary's processor time for a read from a replica may be below the clock's resolution.
    what = "the primary's processor time for a read of an order, microseconds"
    return [
        mean_effect(f"{what}, read from it", "from the primary", [1e6 * each for each in primary]),
        mean_effect(f"{what}, read from a replica", "from replicas", [1e6 * each for each in replica]),
    ]


async def sharding(bench: PatternBench) -> list[PatternEffect]:
    """Measure how unevenly each key loads four servers, with baskets of the fitted model."""
    window = bench.sizes.requests // 2
    # Each period of the file's time has the same number of windows, so that none lies in two.
    plan = plan_requests(requests=window * WINDOWS, seed=bench.seed, lines=(1, 6))
    baskets = [tuple(BasketLine(line.sku, line.quantity) for line in order.lines) for order in plan]
    options = ShardKeysBenchOptions(
        servers=SERVERS, window=window, concurrency=SERVERS, seed=bench.seed, directory=bench.folder
    )
    figures = await shard_keys.measure(options, with_keys(baskets, seed=bench.seed), say=bench.say)
    hot = {key: [hot_spot_ratio([rows]) for rows in each.rows] for key, each in figures.items()}
    lists = {key: [float(servers) for servers in each.asked["ListOrders"]] for key, each in figures.items()}
    what = f"rows stored by the busiest of {SERVERS} servers over the mean, in windows of {window} orders"
    return [
        *(mean_effect(f"{what}, sharded by {key}", key, hot[key]) for key in KEYS),
        *(mean_effect(f"servers that a customer's list asks, sharded by {key}", key, lists[key]) for key in KEYS),
    ]
