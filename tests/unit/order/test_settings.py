"""Settings of several servers of orders."""

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
