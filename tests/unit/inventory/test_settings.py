"""Settings of inventory's cache and replicas: which URLs are valid, and that no password is shown."""

import pytest

from services.infra.settings import BadSettings, read_settings
from services.inventory.settings import InventorySettings

SECRET = "valkey://:hunter2@127.0.0.1:6379/0"


def settings(monkeypatch: pytest.MonkeyPatch, **variables: str) -> InventorySettings:
    """Read the settings with these variables, and a database."""
    for name, value in {"DATABASE_DSN": "postgresql://inventory", **variables}.items():
        monkeypatch.setenv(f"INVENTORY_{name}", value)
    return read_settings(InventorySettings)


@pytest.mark.parametrize("variables", [{}, {"CACHE_URL": ""}])
def test_without_a_url_there_is_no_cache(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    assert settings(monkeypatch, **variables).cache_url.get_secret_value() == ""


@pytest.mark.parametrize("url", [SECRET, "unix:///run/valkey.sock", "rediss://:p@cache:6380/1"])
def test_every_url_of_the_protocol_may_be_the_cache(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    assert settings(monkeypatch, CACHE_URL=url).cache_url.get_secret_value() == url


def test_the_password_is_not_in_its_representation(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "hunter2" not in repr(settings(monkeypatch, CACHE_URL=SECRET))


def test_another_kind_of_url_is_refused_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadSettings, match=r"INVENTORY_CACHE_URL: .* must begin with one of .*valkey") as refused:
        settings(monkeypatch, CACHE_URL="https://:hunter2@cache")
    assert "hunter2" not in str(refused.value)


def test_a_port_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadSettings, match="INVENTORY_CACHE_URL"):
        settings(monkeypatch, CACHE_URL="valkey://cache:port")


@pytest.mark.parametrize("between", [", ", " ,", ",,"])
def test_replicas_are_separated_by_commas_alone(monkeypatch: pytest.MonkeyPatch, between: str) -> None:
    replica = "postgresql://inventory:hunter2@replica/inventory"
    settings(monkeypatch, REPLICA_DSNS=f"{replica},{replica}")
    with pytest.raises(BadSettings, match=r"INVENTORY_REPLICA_DSNS: .* separated by commas without spaces") as refused:
        settings(monkeypatch, REPLICA_DSNS=f"{replica}{between}{replica}")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("seconds", ["0", "-1", "3601", "nan"])
def test_a_lifetime_that_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch, seconds: str) -> None:
    with pytest.raises(BadSettings, match="INVENTORY_HINT_LIFETIME_SECONDS"):
        settings(monkeypatch, HINT_LIFETIME_SECONDS=seconds)
