"""Experiment: a platform with and without a bottleneck, the load that shows it, and the expected verdict."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from observability.analysis.bottleneck import Bottleneck
from observability.network.proxy import Delay
from services.local.platform.endpoints import Mode


class ExperimentKind(StrEnum):
    """What an experiment shows: a bottleneck, no bottleneck, an optimisation that gains nothing, or a cost."""

    BOTTLENECK = "bottleneck"
    NEGATIVE = "negative"
    WRONG_OPTIMISATION = "wrong optimisation"
    MEASUREMENT = "measurement"


class Metric(StrEnum):
    """The primary metric of an experiment: latency, or useful answers a second."""

    LATENCY = "latency"
    GOODPUT = "goodput"


NOTHING_WRONG = frozenset({ExperimentKind.NEGATIVE, ExperimentKind.MEASUREMENT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A configuration of the platform.

    mode: services, or monolith: one process with the settings of all, without adapters or a network to inventory.
    environment: settings by process: order, inventory, notification, or "*" for each.
    adapters: factories as module:function, by the process whose adapter they replace; order-inventory replaces order's
        client of inventory.
    statements: SQL by database, run by its owner once the shop is stocked.
    shards: servers of orders, each a PostgreSQL server of its own.
    moves: logical shards that are moved before the load, each with the number of the server that gets it.
    replicas: streaming replicas that hints of stock and reads of orders go to; none, or all that the other variant has.
    processor_limits: processors of a PostgreSQL server by its name, as a container's limit: postgres, postgres-1,
        postgres-replica-1, ...; they hold while the load runs.
    network: delays between neighbours: order-database (of each server of orders), order-read_database,
        inventory-database, notification-database, notification-mail (confirmations are then sent by mail) or
        order-inventory.
    """

    mode: Mode = "services"

    environment: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    adapters: Mapping[str, str] = field(default_factory=dict)
    statements: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    network: Mapping[str, Delay] = field(default_factory=dict)
    shards: int = 1
    replicas: int = 0
    processor_limits: Mapping[str, float] = field(default_factory=dict)
    moves: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError for an option that a monolith does not support."""
        if self.mode == "monolith" and (self.adapters or "order-inventory" in self.network):
            raise ValueError("a monolith supports neither adapters nor a network between order and inventory")


HEALTHY = Variant()


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """The load of an experiment.

    utilisation: of the busiest resource with the `before` variant, from which the rate is calibrated; above 1 the
        offered load is this multiple of its capacity.
    of_capacity: `utilisation` is the share of what a closed loop of a few customers sells with the `before` variant:
        for a limit that no metric shows.
    surge: factor of the rate in the middle third.
    lines: fewest and most lines of an order, uniformly distributed.
    respond_async: customers send `Prefer: respond-async`, and get an answer once the order is stored.
    hot_customers, hot_share: this share (0 to 1) of the orders are of these customers, of each as many.
    rate_per_second: if set, the rate, for a limit that does not depend on the machine; `utilisation` is then a guess.
    looked_at: if set, there are no orders, and customers view `lines` of so many SKUs instead.
    """

    utilisation: float
    of_capacity: bool = False
    surge: float = 1.0
    lines: tuple[int, int] = (1, 12)
    respond_async: bool = False
    looked_at: int | None = None
    hot_customers: tuple[str, ...] = ()
    hot_share: float = 0.0
    rate_per_second: float | None = None


@dataclass(frozen=True, slots=True)
class Truth:
    """The expected verdict.

    bottleneck: the class.
    service, operation: where it is; any operation if None.
    also: the smaller of two bottlenecks, which the verdict must list too; None if there is one.
    """

    bottleneck: Bottleneck
    service: str
    operation: str | None = None
    also: "Truth | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The parameters of an experiment as drawn from a seed.

    place: the drawn parameters in words.
    truth: the expected verdict; None when there is no bottleneck.
    """

    place: str
    before: Variant
    after: Variant
    demand: Demand
    truth: Truth | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A hypothesis and how it is tested.

    owner_alert: the alert that the bottleneck raises, or "none"; owner_alert_because says why.
    draw: draws the parameters from a random source.
    collateral: other alerts that may fire too, at most three, each with the reason.
    own_time: the span whose time a wrong optimisation reduces, which is not the bottleneck's.
    metric: goodput where requests are rejected or abandoned: the quantiles are then those of the remaining requests.
    warm_up_seconds: least time under load before the measurement: a queue needs time to grow to its full length.
    consumer: the span of a consumer; orders then count as useful when it has ended, and not when they are answered.
    times_as_many_pairs: factor of the number of pairs: to show that nothing changes takes more of them.
    """

    name: str
    kind: ExperimentKind
    hypothesis: str
    fix: str
    symptoms: tuple[str, ...]
    owner_alert: str
    owner_alert_because: str
    draw: Callable[[random.Random], Setting]
    collateral: Mapping[str, str] = field(default_factory=dict)
    own_time: str | None = None
    metric: Metric = Metric.LATENCY
    warm_up_seconds: float = 0.0
    consumer: str | None = None
    times_as_many_pairs: int = 1
