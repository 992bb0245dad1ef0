"""Catalogue of the patterns: where each is in the code, what shows its effect, and when not to use it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """One pattern.

    name: its key in the file of results and in `--only`.
    title: its name for readers.
    where: paths of the repository, the most telling first.
    shown_by: commands that show it at work or measure it at length.
    not_when: when not to use it.
    """

    name: str
    title: str
    where: tuple[str, ...]
    shown_by: tuple[str, ...]
    not_when: str


PATTERNS = (
    Pattern(
        name="modular_monolith",
        title="Modular monolith",
        where=("services/monolith/__main__.py", "services/inventory/api.py", ".importlinter"),
        shown_by=("plumb up --mode monolith", "plumb lab run monolith"),
        not_when=(
            "parts need different machines, release dates or teams, or one part must run on when another fails. "
            "Without contracts between modules that a tool enforces, it becomes a plain monolith."
        ),
    ),
    Pattern(
        name="events",
        title="Events",
        where=(
            "services/infra/messaging/outbox.py",
            "services/infra/messaging/relay.py",
            "services/notification/consumers",
        ),
        shown_by=("plumb lab run synchronous_notification", "plumb lab run slow_consumer", "plumb bench relay"),
        not_when=(
            "the caller needs the result in its answer. Consumers run later, may see an event twice, and need an "
            "inbox, an outbox, dead letters and a way to rebuild."
        ),
    ),
    Pattern(
        name="cqrs",
        title="CQRS",
        where=(
            "services/order/adapters/summaries.py",
            "services/order/consumers/order_summaries.py",
            "services/order/consistency_token.py",
        ),
        shown_by=("plumb bench read-model", "plumb projection rebuild"),
        not_when=(
            "one index on the write model is enough for the query (the second figure compares the two). The read model "
            "lags behind, so clients that read their own writes need a consistency token."
        ),
    ),
    Pattern(
        name="circuit_breaker",
        title="Circuit breaker",
        where=("services/infra/circuit_breaker.py", "services/infra/rpc/guard.py", "docs/calls.md"),
        shown_by=("plumb drill", "plumb bench overload", "plumb bench load-shedding"),
        not_when=(
            "there are few calls (five a minute show nothing), the calls go to different servers, or the caller has no "
            "better answer than an error. It does not replace a timeout."
        ),
    ),
    Pattern(
        name="retry_with_jitter",
        title="Retry with back-off and jitter",
        where=("services/infra/backoff.py", "services/infra/rpc/client.py", "services/order/workers/saga_worker.py"),
        shown_by=("plumb lab run retry_storm", "plumb chaos network"),
        not_when=(
            "the call is not idempotent, the server is overloaded (each attempt is load: use a retry budget), or a "
            "caller further up retries already: attempts multiply."
        ),
    ),
    Pattern(
        name="read_replicas",
        title="Read replicas",
        where=(
            "services/infra/replicas.py",
            "services/order/adapters/replicated.py",
            "docs/replicas.md",
        ),
        shown_by=("plumb bench replicas", "plumb lab run read_saturation", "plumb up --replicas 1"),
        not_when=(
            "writes fill the primary (a replica replays all of them), reads decide about stock, or the data fits in "
            "the primary's memory and its processor has room."
        ),
    ),
    Pattern(
        name="sharding",
        title="Sharding",
        where=(
            "services/order/domain/logical_shard.py",
            "services/order/domain/shard_map.py",
            "docs/sharding.md",
        ),
        shown_by=("plumb bench shard-keys", "plumb lab run hot_shard", "plumb bench scaling", "plumb up --shards 2"),
        not_when=(
            "one server can still store the writes: first index, archive, and add replicas for reads. Queries without "
            "the key ask every shard, and no transaction spans two."
        ),
    ),
    Pattern(
        name="measure_first",
        title="Measure before optimising",
        where=("observability/analysis/critical_path.py", "observability/experiments/runner", "docs/lab.md"),
        shown_by=("plumb lab run wrong_optimisation", "plumb diagnose", "plumb lab score"),
        not_when=(
            "the change is needed for correctness, or costs less than its measurement. A measurement of an idle or "
            "disturbed machine is worse than none."
        ),
    ),
    Pattern(
        name="boring_technology",
        title="Boring technology",
        where=(
            "services/infra/messaging/postgres_log.py",
            "services/infra/messaging/nats_log.py",
            "services/infra/messaging/log.py",
        ),
        shown_by=("plumb up --bus nats", "plumb bench relay"),
        not_when=(
            "a measurement shows that the boring part is the limit, for example with many consumers of one log. Keep "
            "it behind a port, so that it can be replaced then."
        ),
    ),
    Pattern(
        name="design_for_failure",
        title="Design for failure",
        where=(
            "services/order/application/settle_order.py",
            "services/order/workers/saga_worker.py",
            "services/infra/idempotency.py",
            "docs/chaos.md",
        ),
        shown_by=("plumb chaos kill", "plumb chaos network", "plumb verify"),
        not_when=(
            "one database transaction holds the whole operation: it fails or succeeds as a whole, and needs no saga. "
            "An order that is kept for later may still be rejected for lack of stock."
        ),
    ),
    Pattern(
        name="coarse_services",
        title="Coarse services",
        where=("protos/shop/inventory/v1/inventory_service.proto", "services/order/__main__.py", "services/edge"),
        shown_by=("plumb lab run monolith", "plumb lab run n_plus_one"),
        not_when=(
            "parts scale, fail or deploy for different reasons, as notification does here: it is a process of its own."
        ),
    ),
    Pattern(
        name="observability",
        title="Observability",
        where=("observability/telemetry", "observability/prometheus", "docs/observability.md"),
        shown_by=("plumb bench telemetry", "plumb bench otlp-outage", "plumb lab score"),
        not_when=(
            "nobody reads it. Sample traces when their cost matters more than the rare request; metrics and the logs "
            "of errors stay complete."
        ),
    ),
)
