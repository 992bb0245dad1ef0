"""Environment variables and addresses of the processes that a testbed starts."""

from pathlib import Path

from observability.experiments.runner.testbed import Serving, settings_of

SETTINGS = {"*": {"EACH": "1", "OF_ORDER": "all"}, "order": {"OF_ORDER": "2"}, "notification": {"OF_NOTIFICATION": "3"}}


def test_a_service_gets_shared_settings_and_then_its_own() -> None:
    assert settings_of("order", SETTINGS) == {"EACH": "1", "OF_ORDER": "2"}


def test_a_service_without_settings_gets_the_shared_ones() -> None:
    assert settings_of("inventory", SETTINGS) == SETTINGS["*"]
    assert settings_of("inventory", {}) == {}


def test_a_monolith_gets_the_settings_of_every_service() -> None:
    assert settings_of("monolith", SETTINGS) == {"EACH": "1", "OF_ORDER": "2", "OF_NOTIFICATION": "3"}


def test_the_edge_is_in_the_order_process_or_in_the_monolith() -> None:
    assert serving({"order": "host:1", "inventory": "host:2"}).edge_admin == "host:1"
    assert serving({"monolith": "host:3"}).edge_admin == "host:3"


def serving(admin: dict[str, str]) -> Serving:
    """Return a platform of which only the processes matter."""
    return Serving(
        edge="host:0",
        admin=admin,
        pids={},
        postgres_pids={"postgres": 1},
        admin_dsn="",
        databases={},
        traces=Path(),
        generator_cpu=None,
    )
