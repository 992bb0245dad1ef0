"""Tests of the settings for several order database servers."""

import pytest

from services.infra.settings import BadSettings, read_settings
from services.order.settings import OrderContextSettings

ONE_SERVER = {
    "ORDER_DATABASE_DSN": "postgresql://zero",
    "ORDER_READ_DATABASE_DSN": "postgresql://read",
    "ORDER_EVENT_LOG_URL": "nats://log",
}
MORE = {
    "ORDER_SHARD_DSNS": "postgresql://one  postgresql://two",
    "ORDER_SHARD_EVENT_LOG_URLS": "nats://log/A nats://log/B",
}


def read(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> OrderContextSettings:
    """Read the settings of an environment."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return read_settings(OrderContextSettings)


def test_one_server_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch, ONE_SERVER)
    assert (settings.order_dsns, settings.event_log_urls) == (["postgresql://zero"], ["nats://log"])


def test_further_servers_follow_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch, ONE_SERVER | MORE)
    assert settings.order_dsns == ["postgresql://zero", "postgresql://one", "postgresql://two"]
    assert settings.event_log_urls == ["nats://log", "nats://log/A", "nats://log/B"]
    assert settings.connections == 3 * settings.database_pool_size


def test_a_server_without_an_event_log_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadSettings, match="shard_dsns has 2 addresses and shard_event_log_urls 1"):
        read(monkeypatch, ONE_SERVER | MORE | {"ORDER_SHARD_EVENT_LOG_URLS": "nats://log/A"})


def test_replicas_are_those_of_their_server(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {
        "ORDER_REPLICA_DSNS": "postgresql://zero-a,postgresql://zero-b",
        "ORDER_SHARD_REPLICA_DSNS": "postgresql://one-a,postgresql://one-b postgresql://two-a",
    }
    found = [dsns.get_secret_value() for dsns in read(monkeypatch, ONE_SERVER | MORE | own).order_replica_dsns]
    assert found == [
        "postgresql://zero-a,postgresql://zero-b",
        "postgresql://one-a,postgresql://one-b",
        "postgresql://two-a",
    ]


def test_further_servers_need_no_replicas(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch, ONE_SERVER | MORE | {"ORDER_REPLICA_DSNS": "postgresql://zero-a"})
    assert [dsns.get_secret_value() for dsns in settings.order_replica_dsns] == ["postgresql://zero-a", "", ""]


def test_replicas_of_some_further_servers_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadSettings, match="shard_dsns has 2 addresses and shard_replica_dsns 1 lists"):
        read(monkeypatch, ONE_SERVER | MORE | {"ORDER_SHARD_REPLICA_DSNS": "postgresql://one-a"})


def test_a_list_of_replicas_that_is_no_address_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadSettings, match=r"ORDER_SHARD_REPLICA_DSNS: .* begin with postgresql://"):
        read(monkeypatch, ONE_SERVER | MORE | {"ORDER_SHARD_REPLICA_DSNS": "postgresql://one-a two-a"})
