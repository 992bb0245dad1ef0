"""Rules that every experiment must satisfy: valid loads, a fix, existing alerts, and complete sentences."""

import functools
import pkgutil
import random
from typing import Any
from uuid import UUID

import pytest

from observability.experiments.experiment import NOTHING_WRONG, ExperimentKind, Metric, Setting, Variant
from observability.experiments.registry import experiments, find_experiment
from observability.load.errors import LoadUsageError
from observability.network.proxy import Delay
from observability.prometheus.build.objectives import STALE_SECONDS
from services.local.platform.plan import DATABASES, MODULES
from services.order.domain.logical_shard import LOGICAL_SHARDS, logical_shard_of
from services.order.domain.shard_map import spread
from tests.each import for_each
from tests.rules.rules import alerts

SEEDS = range(200)
NEIGHBOURS = {
    "order-database",
    "order-read_database",
    "inventory-database",
    "notification-database",
    "notification-mail",
    "order-inventory",
}
# Of one batch: seven statements one after the other, each there and back.
MOST_WAYS = 14
NAMES = tuple(experiments())
ALERTS = frozenset(alert["alert"] for alert in alerts())
every_experiment = for_each(NAMES)


def drawn_anew(name: str, seed: int) -> Setting:
    """Return an experiment as a trial draws it."""
    return find_experiment(name).draw(random.Random(f"{seed}:{name}"))


drawn = functools.cache(drawn_anew)


def variants(name: str) -> list[Variant]:
    """All that an experiment draws, before and after."""
    return [variant for seed in SEEDS for variant in (drawn(name, seed).before, drawn(name, seed).after)]


def is_sentence(text: str) -> bool:
    return text[:1].isupper() and text.endswith(".")


def test_an_unknown_experiment_is_an_error_that_lists_all() -> None:
    with pytest.raises(LoadUsageError, match="healthy"):
        find_experiment("no_such")


@every_experiment
def test_any_seed_draws_a_load_that_can_be(name: str) -> None:
    for seed in SEEDS:
        setting = drawn(name, seed)
        assert setting.place
        assert setting.demand.utilisation > 0
        assert setting.demand.utilisation < 1 or find_experiment(name).metric is Metric.GOODPUT
        assert setting.demand.surge >= 1
        assert not setting.demand.of_capacity or (setting.demand.utilisation < 1 and setting.demand.looked_at is None)
        assert 1 <= setting.demand.lines[0] <= setting.demand.lines[1]


@every_experiment
def test_a_seed_draws_the_same_again(name: str) -> None:
    assert [drawn_anew(name, seed) for seed in SEEDS] == [drawn(name, seed) for seed in SEEDS]


@every_experiment
def test_seeds_draw_differently(name: str) -> None:
    assert len({drawn(name, seed).demand for seed in SEEDS}) > 1


@every_experiment
def test_only_experiments_with_a_bottleneck_have_a_truth(name: str) -> None:
    is_wrong = find_experiment(name).kind not in NOTHING_WRONG
    assert all((drawn(name, seed).truth is not None) == is_wrong for seed in SEEDS)


@every_experiment
def test_a_bottleneck_has_a_fix(name: str) -> None:
    if find_experiment(name).kind is not ExperimentKind.NEGATIVE:
        assert all(drawn(name, seed).before != drawn(name, seed).after for seed in SEEDS)


@every_experiment
def test_the_truth_is_in_a_service_of_the_shop(name: str) -> None:
    assert {truth.service for seed in SEEDS if (truth := drawn(name, seed).truth)} <= MODULES.keys()


@every_experiment
def test_the_owner_alert_exists_or_its_absence_is_explained(name: str) -> None:
    tried = find_experiment(name)
    assert tried.owner_alert in {*ALERTS, "none"}
    assert is_sentence(tried.owner_alert_because)


@every_experiment
def test_collateral_alerts_are_few_and_each_has_a_sentence(name: str) -> None:
    collateral = find_experiment(name).collateral
    assert len(collateral) <= 3
    assert collateral.keys() <= ALERTS - {find_experiment(name).owner_alert}
    assert all(is_sentence(because) for because in collateral.values())


@every_experiment
def test_claims_are_sentences(name: str) -> None:
    tried = find_experiment(name)
    assert tried.name == name
    assert is_sentence(tried.hypothesis)
    assert is_sentence(tried.fix)
    assert tried.symptoms


@every_experiment
def test_adapters_are_functions_that_are_there(name: str) -> None:
    named = {adapter for variant in variants(name) for adapter in variant.adapters.values()}
    assert all(callable(pkgutil.resolve_name(adapter)) for adapter in named)


@every_experiment
def test_what_changes_is_a_process_or_database_of_the_platform(name: str) -> None:
    for variant in variants(name):
        assert variant.adapters.keys() <= {"order", "inventory", "notification", "order-inventory"}
        assert variant.environment.keys() <= {*MODULES, "*"}
        assert variant.statements.keys() <= set(DATABASES)


@every_experiment
def test_a_network_is_between_two_that_talk_to_each_other(name: str) -> None:
    assert {between for variant in variants(name) for between in variant.network} <= NEIGHBOURS


@every_experiment
def test_logical_shards_move_to_servers_that_there_are(name: str) -> None:
    for seed in SEEDS:
        before, after = drawn(name, seed).before, drawn(name, seed).after
        assert before.shards == after.shards, "both run on one testbed"
        for variant in (before, after):
            assert all(logical < LOGICAL_SHARDS and server < variant.shards for logical, server in variant.moves)


@every_experiment
def test_processor_limits_are_of_servers_that_there_are(name: str) -> None:
    for seed in SEEDS:
        before, after = drawn(name, seed).before, drawn(name, seed).after
        assert before.processor_limits == after.processor_limits, "a fix must not come with a faster server"
        shards = {"postgres", *(f"postgres-{number}" for number in range(1, before.shards))}
        replicas = range(1, 1 + max(before.replicas, after.replicas))
        assert before.processor_limits.keys() <= shards | {
            f"{one}-replica-{each}" for one in shards for each in replicas
        }
        assert all(0 < processors < 1 for processors in before.processor_limits.values())


def test_hot_customers_are_on_one_limited_server_until_each_server_has_one() -> None:
    for seed in SEEDS:
        setting = drawn("hot_shard", seed)
        shards = [logical_shard_of(UUID(customer)) for customer in setting.demand.hot_customers]
        servers = list(spread(setting.before.shards, epoch=1).servers)
        [hot] = {servers[shard] for shard in shards}
        assert f"postgres-{hot}" in setting.before.processor_limits
        for shard, server in setting.after.moves:
            servers[shard] = server
        assert sorted(servers[shard] for shard in shards) == list(range(setting.before.shards))


@every_experiment
def test_observed_platforms_are_separate_services(name: str) -> None:
    """Only the other side of a comparison may be one process."""
    assert {drawn(name, seed).before.mode for seed in SEEDS} == {"services"}


@every_experiment
def test_only_a_measurement_compares_modes(name: str) -> None:
    modes = {drawn(name, seed).after.mode for seed in SEEDS}
    assert modes == ({"monolith"} if find_experiment(name).kind is ExperimentKind.MEASUREMENT else {"services"})


@pytest.mark.parametrize(
    "impossible",
    [{"adapters": {"order": "some:adapter"}}, {"network": {"order-inventory": Delay(latency_seconds=0.001)}}],
)
def test_a_monolith_has_no_adapters_and_no_remote_inventory(impossible: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="monolith"):
        Variant(mode="monolith", **impossible)


def test_slow_consumers_vary_and_stay_within_the_objective() -> None:
    found = variants("slow_consumer")
    networks = {between: delay for variant in found for between, delay in variant.network.items()}
    assert networks.keys() == {"order-read_database", "notification-database"}
    assert max(delay.latency_seconds for delay in networks.values()) * MOST_WAYS < STALE_SECONDS / 10
