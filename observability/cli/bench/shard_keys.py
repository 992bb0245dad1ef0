"""`plumb bench shard-keys`: measured and expected load imbalance of three shard keys on order databases."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from observability.analysis.quantiles import quantile
from observability.bench.shard_key_demand import KEYS, KeyedBasket, consecutive, top_customer_share, with_keys
from observability.bench.shard_key_expectation import EXPECTED_HOT_SPOT_RATIO
from observability.bench.shard_keys import KeyFigures, ShardKeysBenchOptions, hot_spot_ratio, measure
from observability.cli.bench.results import run_folder, run_measurement, write_result
from observability.load.basket_files import read_baskets

FORMAT = "plumbline-bench-shard-keys/1"
BASKETS = Path("../shared/data/baskets.csv.xz")
SERVERS = 4
USE_CASES = {"place": "PlaceOrder", "get": "GetOrder", "cancel": "CancelOrder", "list": "ListOrders"}


def bench_shard_keys(
    *,
    baskets: Annotated[Path, typer.Option(help="File of real baskets, in order of time.")] = BASKETS,
    orders: Annotated[
        int, typer.Option(min=50, help="Consecutive baskets to replay; the whole file has 25,900.")
    ] = 600,
    window: Annotated[int, typer.Option(min=50, help="Baskets between two measurements of the servers.")] = 200,
    concurrency: Annotated[int, typer.Option(min=1, max=16, help="Customers at the same time.")] = 4,
    seed: Annotated[int, typer.Option(help="Seed of customers, regions, the first basket, and the sequence.")] = 1,
    output: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("out/bench-shard-keys"),
) -> None:
    """Replay the same real baskets on four servers of orders, sharded by user, by region and by time.

    Prints for each key the hot-spot ratio (the busiest server over the mean, for stored rows and for database time),
    the servers that a request asks, and the time of a list. Skipped without a file of baskets. A file of codes has
    neither customers nor regions: they are drawn. Takes about a minute. The servers share this machine, so nothing here
    shows what four machines could do.

    Exit codes: 0 measured or skipped, 1 the measurement failed, 2 bad options, 130 interrupted.
    """
    console = Console(highlight=False)
    if not baskets.is_file():
        console.print(f"skipped: there is no file of baskets at {baskets}; name one with --baskets", soft_wrap=True)
        return
    replayed = consecutive(with_keys(read_baskets(baskets).baskets, seed=seed), orders, seed=seed)
    console.print(
        f"{len(replayed):,} consecutive baskets of {baskets}, in its order as the order of time. Customers and regions "
        "are drawn, since the file has none",
        soft_wrap=True,
    )
    with run_folder(output) as folder:
        options = ShardKeysBenchOptions(
            servers=SERVERS, window=window, concurrency=concurrency, seed=seed, directory=folder
        )
        figures = run_measurement(lambda: measure(options, replayed, say=console.print), console)
        write_result(folder, document(options, replayed, figures), console)
    show(console, replayed, figures)


def summary_of(figures: KeyFigures) -> dict[str, Any]:
    """Return the figures of one key."""
    ordered = sorted(figures.list_seconds)
    return {
        "hot_spot_ratio_rows": hot_spot_ratio(figures.rows),
        "hot_spot_ratio_seconds": hot_spot_ratio(figures.seconds),
        "servers_asked": {name: sum(counts) / len(counts) for name, counts in figures.asked.items()},
        "share_on_several_servers": figures.share_on_several,
        "list_seconds_p50": quantile(ordered, 0.5),
        "list_seconds_p99": quantile(ordered, 0.99),
        "lists": len(ordered),
    }


def document(
    options: ShardKeysBenchOptions, baskets: Sequence[KeyedBasket], figures: Mapping[str, KeyFigures]
) -> dict[str, Any]:
    """Return the content of result.json."""
    chosen = {name: value for name, value in asdict(options).items() if name != "directory"}
    return {
        "format": FORMAT,
        "options": {**chosen, "baskets": len(baskets)},
        "expected_hot_spot_ratio": dict(EXPECTED_HOT_SPOT_RATIO),
        "top_customer_share": top_customer_share(baskets),
        "keys": {key: summary_of(each) for key, each in figures.items()},
        "windows": {key: {"rows": each.rows, "seconds": each.seconds} for key, each in figures.items()},
    }


def show(console: Console, baskets: Sequence[KeyedBasket], figures: Mapping[str, KeyFigures]) -> None:
    """Print the hot spots beside the expectation, and what each use case asks."""
    table = Table("key", "expected", "rows", "database time", box=None, pad_edge=False, title="Hot-spot ratio")
    fans = Table("key", *USE_CASES, "on several", "list p50 ms", "p99 ms", box=None, pad_edge=False)
    fans.title = "Servers that a request asks"
    for key in KEYS:
        summary = summary_of(figures[key])
        ratios = (EXPECTED_HOT_SPOT_RATIO[key], summary["hot_spot_ratio_rows"], summary["hot_spot_ratio_seconds"])
        table.add_row(key, *(f"{ratio:.2f}" for ratio in ratios))
        asked = (f"{summary['servers_asked'].get(name, 0):.2f}" for name in USE_CASES.values())
        times = (f"{1e3 * summary[name]:.1f}" for name in ("list_seconds_p50", "list_seconds_p99"))
        fans.add_row(key, *asked, f"{100 * summary['share_on_several_servers']:.0f} %", *times)
    console.print(table)
    console.print(fans)
    share = 100 * top_customer_share(baskets)
    console.print(
        f"The customer with the most orders has {share:.1f} % of them, on one server by any hash of the user."
    )
