"""What is an experiment? A platform with a bottleneck and without, the load that shows it, and the truth about it."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from observability.analysis.bottleneck import Bottleneck
from observability.network.proxy import Delay
from services.local.platform.endpoints import Mode


class ExperimentKind(StrEnum):
    """What an experiment shows: a bottleneck, that there is none, an optimisation that gains nothing, or a price."""

    BOTTLENECK = "bottleneck"
    NEGATIVE = "negative"
    WRONG_OPTIMISATION = "wrong optimisation"
    MEASUREMENT = "measurement"


class Metric(StrEnum):
    """What an experiment is about: how long answers take, or how many a second are of use to whoever asked."""

    LATENCY = "latency"
    GOODPUT = "goodput"


NOTHING_WRONG = frozenset({ExperimentKind.NEGATIVE, ExperimentKind.MEASUREMENT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """How the platform is set up.

    `environment` gives settings by process (order, inventory, notification; "*" means each), `adapters` replaces an
    adapter of a process, or with order-inventory the client that one has of the other, by what a function of the lab
    makes, named as module:function. `statements` are run by
    the databases' owners once the shop is stocked, by database. `network` puts a network of that delay between two
    neighbours, named as order-database, order-read_database, inventory-database, notification-database,
    notification-mail (which makes confirmations leave by mail) or order-inventory. In `mode` monolith one process has
    the settings of all, and neither adapters nor an inventory that is somewhere else.
    """

    mode: Mode = "services"

    environment: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    adapters: Mapping[str, str] = field(default_factory=dict)
    statements: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    network: Mapping[str, Delay] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ValueError for what a monolith cannot have."""
        if self.mode == "monolith" and (self.adapters or "order-inventory" in self.network):
            raise ValueError("a monolith takes no adapters of the lab, and calls inventory without a network")


HEALTHY = Variant()


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What customers want: how busy the platform's core gets, and how many lines an order has.

    The rate is calibrated: `utilisation` is the share of its time that the busiest resource of the platform works with
    the `before` variant; beyond 1 it is how many times as much is asked as that can do. `surge` multiplies the rate in
    the middle third. `lines` are the fewest and most lines of an order, each number as likely. With `respond_async`
    customers say that they prefer an order that is kept to one that they wait for. With `looked_at` nobody orders:
    shoppers look at `lines` of so many SKUs.
    """

    utilisation: float
    surge: float = 1.0
    lines: tuple[int, int] = (1, 12)
    respond_async: bool = False
    looked_at: int | None = None


@dataclass(frozen=True, slots=True)
class Truth:
    """What the diagnosis must name: the class, the service and the operation in it (None: any)."""

    bottleneck: Bottleneck
    service: str
    operation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """An experiment as one seed draws it; `place` says in words what was drawn. Without a truth nothing is wrong."""

    place: str
    before: Variant
    after: Variant
    demand: Demand
    truth: Truth | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """What is claimed and how it is tried.

    `owner_alert` is the alert that the bottleneck raises, or "none"; `collateral` are other alerts that may go off with
    it, at most three, each with a sentence why. `own_time` names the span whose time a wrong optimisation cuts, which
    is not that of the bottleneck. It is tried in `times_as_many_pairs` as others: to show that nothing changes takes
    more than to show that something does. `metric` says what it is about: of what is turned away, or given up, the
    quantiles are those of who is left, and say nothing. Load lasts for `warm_up_seconds` at least before anything
    counts: a queue takes time until it is as long as callers are patient.
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
    times_as_many_pairs: int = 1
