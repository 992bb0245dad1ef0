"""Tests of a process that cannot start: it prints one line that names the reason, and no secret."""

import subprocess
import sys
from collections.abc import Callable, Mapping

import pytest

from services.infra import program
from services.local.platform.endpoints import Endpoints
from services.local.platform.plan import EventLogAddress, base_environment, order_stores
from services.order.__main__ import command
from tests.full import in_full
from tests.patience import PATIENCE_SECONDS

Start = Callable[[Mapping[str, str]], subprocess.CompletedProcess[str]]
SECRET = "hunter2hunter2"
NOWHERE = f"postgresql://order:{SECRET}@127.0.0.1:1/order?sslmode=disable"


def start(environment: Mapping[str, str], service: str = "order") -> subprocess.CompletedProcess[str]:
    """Start a service that is expected to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", f"services.{service}", "serve"],
        env={**base_environment(), **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


@pytest.fixture
def start_here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Start:
    """Start an order service in this process, where it is expected to end at its settings, before it does anything."""

    def run(environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("sys.argv", ["order", "serve"])
        with pytest.raises(SystemExit) as ended:
            program.main("order", command)
        return subprocess.CompletedProcess(["order"], 1, capsys.readouterr().out, f"{ended.value.code}\n")

    return run


@pytest.mark.parametrize("variable", ["ORDER_DATABASE_DSN", "ORDER_READ_DATABASE_DSN", "ORDER_EVENT_LOG_URL"])
def test_a_missing_address_is_named(start_here: Start, variable: str) -> None:
    """The variable is in the message, and no other."""
    ended = start_here({name: value for name, value in stores().items() if name != variable})
    assert ended.stderr.count("\n") == 1
    assert [name for name in stores() if name in ended.stderr] == [variable]
    assert SECRET not in ended.stderr + ended.stdout


def test_settings_that_cannot_be_end_the_process_with_one_line() -> None:
    ended = start({name: value for name, value in stores().items() if name != "ORDER_DATABASE_DSN"})
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert [name for name in stores() if name in ended.stderr] == ["ORDER_DATABASE_DSN"]
    assert SECRET not in ended.stderr + ended.stdout


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ORDER_DATABASE_POOL_SIZE", "0"),
        ("ORDER_GRPC_LISTEN", "nonsense"),
        ("ORDER_REQUEST_DEADLINE_SECONDS", "soon"),
        ("LOG_LEVEL", "chatty"),
    ],
)
def test_a_bad_setting_is_named(start_here: Start, variable: str, value: str) -> None:
    """The variable is in the message, the DSN is not."""
    ended = start_here({**stores(), variable: value})
    assert variable in ended.stderr
    assert SECRET not in ended.stderr + ended.stdout


@pytest.mark.parametrize(
    ("misspelled", "meant"),
    [("ORDER_DATABSE_POOL_SIZE", "ORDER_DATABASE_POOL_SIZE"), ("ORDER_HTP_LISTEN", "ORDER_HTTP_LISTEN")],
)
def test_a_misspelled_setting_is_an_error_with_a_suggestion(start_here: Start, misspelled: str, meant: str) -> None:
    """It would else be another setting's default that nobody chose."""
    ended = start_here({**stores(), misspelled: "1"})
    assert f"{misspelled}: there is no such setting; did you mean {meant}?" in ended.stderr


def test_an_unreachable_database_is_reported() -> None:
    """The line says what to check, without a traceback; what Kubernetes sets for a service is no setting of ours."""
    given = {"ORDER_SERVICE_HOST": "10.0.0.1", "ORDER_PORT": "tcp://10.0.0.1:80", "ORDER_PORT_80_TCP_ADDR": "10.0.0.1"}
    ended = start({**stores(), **ephemeral(), **given})
    assert ended.returncode == 1
    assert "no such setting" not in ended.stderr
    assert "check that the database is up" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert SECRET not in ended.stderr + ended.stdout


def test_a_rejecting_database_is_reported(shop: Endpoints) -> None:
    """A wrong password is told apart from an absent server."""
    dsn = shop.databases["order"].replace("://order:", f"://order:{SECRET}")
    ended = start({**stores(shop), "ORDER_DATABASE_DSN": dsn, **ephemeral()})
    assert ended.returncode == 1
    assert "the database returned an error" in ended.stderr
    assert SECRET not in ended.stderr + ended.stdout


@pytest.mark.parametrize("port", ["ORDER_GRPC_LISTEN", *in_full("ORDER_HTTP_LISTEN", "ORDER_ADMIN_LISTEN")])
def test_a_taken_port_is_reported(shop: Endpoints, port: str) -> None:
    """Rather than shared."""
    ended = start({**stores(shop), **ephemeral(), port: shop.edge_http})
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert shop.edge_http.rpartition(":")[2] in ended.stderr


def test_a_host_that_others_reach_is_refused(start_here: Start) -> None:
    """Unless it is asked for: there is no TLS yet."""
    ended = start_here({**stores(), **ephemeral(), "ORDER_HTTP_LISTEN": "0.0.0.0:0"})
    assert "ALLOW_INSECURE_BIND" in ended.stderr


def stores(shop: Endpoints | None = None) -> dict[str, str]:
    """Return the databases and the event log of a shop, or of none."""
    databases = shop.databases if shop else dict.fromkeys(("order", "order_read"), NOWHERE)
    url = shop.event_log_url if shop else NOWHERE
    return order_stores(databases=databases, event_log=EventLogAddress(url, allow_unsafe_sync=False))


def ephemeral() -> dict[str, str]:
    """Return settings that listen on free ports."""
    return {f"ORDER_{name}_LISTEN": "127.0.0.1:0" for name in ("GRPC", "HTTP", "ADMIN")}
