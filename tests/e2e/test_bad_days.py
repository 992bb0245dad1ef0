"""What does a process say when it cannot start? One plain line, which names the thing, and no secret."""

import os
import subprocess
import sys
from collections.abc import Mapping

import pytest

from services.local.endpoints import Endpoints
from services.local.plan import base_environment

START_SECONDS = 40
SECRET = "hunter2hunter2"
NOWHERE = f"postgresql://order:{SECRET}@127.0.0.1:1/order?sslmode=disable"


def start(environment: Mapping[str, str], service: str = "order") -> subprocess.CompletedProcess[str]:
    """Start a service that is expected to end by itself."""
    clean = {key: value for key, value in base_environment().items() if not key.startswith(("ORDER_", "INVENTORY_"))}
    return subprocess.run(
        [sys.executable, "-m", f"services.{service}", "serve"],
        env={**clean, "PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )


def test_a_missing_dsn_is_named(shop: Endpoints) -> None:
    """The variable is in the message."""
    ended = start({})
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "ORDER_DATABASE_DSN" in ended.stderr


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ORDER_DATABASE_POOL_SIZE", "0"),
        ("ORDER_GRPC_LISTEN", "nonsense"),
        ("ORDER_REQUEST_DEADLINE_SECONDS", "soon"),
        ("LOG_LEVEL", "chatty"),
    ],
)
def test_a_bad_setting_is_named(variable: str, value: str) -> None:
    """The variable is in the message, the DSN is not."""
    ended = start({"ORDER_DATABASE_DSN": NOWHERE, variable: value})
    assert ended.returncode == 1
    assert variable in ended.stderr
    assert SECRET not in ended.stderr + ended.stdout


def test_an_unreachable_database_is_said(shop: Endpoints) -> None:
    """The line says what to check, without a traceback."""
    ended = start({"ORDER_DATABASE_DSN": NOWHERE, **ephemeral()})
    assert ended.returncode == 1
    assert "check that the database is up" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert SECRET not in ended.stderr + ended.stdout


def test_a_refusing_database_is_said(shop: Endpoints) -> None:
    """A wrong password is told apart from an absent server."""
    dsn = shop.databases["order"].replace("://order:", f"://order:{SECRET}")
    ended = start({"ORDER_DATABASE_DSN": dsn, **ephemeral()})
    assert ended.returncode == 1
    assert "the database refused" in ended.stderr
    assert SECRET not in ended.stderr + ended.stdout


@pytest.mark.parametrize("port", ["ORDER_GRPC_LISTEN", "ORDER_HTTP_LISTEN", "ORDER_ADMIN_LISTEN"])
def test_a_taken_port_is_said(shop: Endpoints, port: str) -> None:
    """Rather than shared."""
    environment = {"ORDER_DATABASE_DSN": shop.databases["order"], **ephemeral(), port: shop.edge_http}
    ended = start(environment)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert shop.edge_http.rpartition(":")[2] in ended.stderr


def test_a_host_that_others_reach_is_refused(shop: Endpoints) -> None:
    """Unless it is asked for: there is no TLS yet."""
    environment = {"ORDER_DATABASE_DSN": shop.databases["order"], **ephemeral(), "ORDER_HTTP_LISTEN": "0.0.0.0:0"}
    ended = start(environment)
    assert ended.returncode == 1
    assert "ALLOW_INSECURE_BIND" in ended.stderr


def ephemeral() -> dict[str, str]:
    """Return settings that listen on free ports."""
    return {f"ORDER_{name}_LISTEN": "127.0.0.1:0" for name in ("GRPC", "HTTP", "ADMIN")}
