"""What each process is told, and what it is not."""

from pathlib import Path

import pytest

from services.local.plan import PlatformOptions, base_environment, monolith_settings
from services.local.ports import Ports

DATABASES = {"order": "postgresql://order", "inventory": "postgresql://inventory"}


def test_the_monolith_has_one_admin_port_one_ready_file_and_no_neighbour() -> None:
    settings = monolith_settings(ports=Ports(), databases=DATABASES, ready_file=Path("ready"))
    assert sorted(settings) == [
        "INVENTORY_DATABASE_DSN",
        "INVENTORY_GRPC_LISTEN",
        "ORDER_ADMIN_LISTEN",
        "ORDER_DATABASE_DSN",
        "ORDER_GRPC_LISTEN",
        "ORDER_HTTP_LISTEN",
        "ORDER_READY_FILE",
    ]


@pytest.mark.parametrize(
    "name", ["ORDER_DATABASE_DSN", "PLUMB_POSTGRES_DSN", "PGPASSWORD", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]
)
def test_settings_of_the_shell_reach_no_process(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "stray")
    assert name not in base_environment()


def test_other_variables_of_the_shell_reach_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert base_environment()["OTEL_SDK_DISABLED"] == "true"


def test_calls_on_this_machine_pass_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "example.org")
    assert base_environment()["no_proxy"] == "example.org,127.0.0.1,localhost"


def test_a_variable_for_one_process_wins_over_the_one_for_all() -> None:
    options = PlatformOptions(
        run_directory=Path("out"), environment={"*": {"LOG_LEVEL": "info"}, "order": {"LOG_LEVEL": "debug"}}
    )
    assert options.extra_environment("order") == {"LOG_LEVEL": "debug"}
    assert options.extra_environment("inventory") == {"LOG_LEVEL": "info"}
