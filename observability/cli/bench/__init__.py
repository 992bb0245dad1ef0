"""`plumb bench`: the list of its commands, each in a file that is imported only when the command is called."""

from typing import ClassVar

from observability.cli.group import CommandEntry, LazyGroup, new_app


class Bench(LazyGroup):
    """All benchmarks."""

    entries: ClassVar = {
        "telemetry": CommandEntry(
            "observability.cli.bench.telemetry:bench_telemetry",
            "Measure CPU time per request with telemetry on, off, and without each of its parts.",
        ),
        "order-cost": CommandEntry(
            "observability.cli.bench.order_cost:bench_order_cost",
            "Measure what an order costs by process: processor time, round trips to PostgreSQL and spans.",
        ),
        "otlp-outage": CommandEntry(
            "observability.cli.bench.otlp_outage:bench_otlp_outage",
            "Measure goodput with an OTLP endpoint that is down, slow or silent, beside one that collects.",
        ),
        "relay": CommandEntry(
            "observability.cli.bench.relay:bench_relay",
            "Measure the events per second that the relay moves from outbox to event log, beside pgbench.",
        ),
        "read-model": CommandEntry(
            "observability.cli.bench.read_model:bench_read_model",
            "Measure the latency of a page of ListOrders in a small and in a big read model.",
        ),
        "shard-keys": CommandEntry(
            "observability.cli.bench.shard_keys:bench_shard_keys",
            "Replay the same real baskets on four servers of orders, sharded by user, by region and by time.",
        ),
        "scaling": CommandEntry(
            "observability.cli.bench.scaling:bench_scaling",
            "Measure the orders a second on 1, 2 and 4 servers of orders, and compare them with a model.",
        ),
        "replicas": CommandEntry(
            "observability.cli.bench.replicas:bench_replicas",
            "Measure reads from replicas at four lags, with one of them killed, and a promotion under load.",
        ),
        "patterns": CommandEntry(
            "observability.cli.bench.patterns:bench_patterns",
            "Measure each pattern briefly, and write the table of patterns.",
        ),
        "overload": CommandEntry(
            "observability.cli.bench.overload:bench_overload",
            "Measure goodput at 2, 5 and 10 times the capacity, with overload protection and without.",
        ),
        "load-shedding": CommandEntry(
            "observability.cli.bench.load_shedding:bench_load_shedding",
            "Measure what rejecting a request costs in each layer, beside serving it.",
        ),
    }


commands = new_app(help_text="Measure what one mechanism costs or gains.", cls=Bench)


@commands.callback()
def bench() -> None:
    """Measure what one mechanism costs or gains."""
