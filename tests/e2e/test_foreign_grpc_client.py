"""Tests of a foreign gRPC client that knows the services by reflection alone."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from services.local.platform.endpoints import Endpoints
from tests.e2e.customers import CUSTOMER
from tests.e2e.stock import PLENTY, SHORT, SHORT_QUANTITY
from tests.patience import PATIENCE_SECONDS


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which buf keeps its cache in the test's folder."""
    return os.environ | {
        "HOME": str(tmp_path),
        "BUF_CACHE_DIR": str(tmp_path / "cache"),
        "XDG_CACHE_HOME": str(tmp_path),
    }


def call(environment: dict[str, str], target: str, method: str, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Call a method by its full name through reflection; return buf's exit status and the answer."""
    command = [
        *(str(Path(sys.executable).with_name("buf")), "curl", "--protocol", "grpc", "--http2-prior-knowledge"),
        *("--data", json.dumps(request), f"http://{target}/{method}"),
    ]
    run = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    return run.returncode, json.loads(run.stdout or run.stderr)


def order(sku: str, quantity: int) -> dict[str, Any]:
    """Return a PlaceOrder request in JSON."""
    return {"requestId": uuid4().hex, "customerId": CUSTOMER, "lines": [{"sku": sku, "quantity": quantity}]}


def test_a_foreign_client_places_and_reads_an_order(shop: Endpoints, environment: dict[str, str]) -> None:
    """What PlaceOrder answered is what GetOrder reads."""
    status, placed = call(environment, shop.order_grpc, "shop.order.v1.OrderService/PlaceOrder", order(PLENTY[0], 2))
    assert (status, placed["order"]["state"]) == (0, "ORDER_STATE_CONFIRMED")
    assert placed["order"]["total"] == {"currencyCode": "GBP", "units": "5", "nanos": 100_000_000}
    ask = {"orderId": placed["order"]["orderId"], "customerId": CUSTOMER}
    assert call(environment, shop.order_grpc, "shop.order.v1.OrderService/GetOrder", ask) == (0, placed)


def test_a_foreign_client_gets_the_shortages(shop: Endpoints, environment: dict[str, str]) -> None:
    """The details of the status arrive: the reason, and what is short."""
    request = order(SHORT, SHORT_QUANTITY + 1)
    status, error = call(environment, shop.order_grpc, "shop.order.v1.OrderService/PlaceOrder", request)
    assert (status, error["code"]) != (0, None)
    assert error["code"] == "failed_precondition"
    details = {detail["type"]: detail for detail in error["details"]}
    assert set(details) == {"google.rpc.ErrorInfo", "shop.order.v1.OutOfStockDetail"}


@pytest.mark.parametrize("service", ["order", "inventory"])
def test_health_uses_the_standard_grpc_service(shop: Endpoints, environment: dict[str, str], service: str) -> None:
    """grpc.health.v1 answers SERVING for the service by name."""
    target = {"order": shop.order_grpc, "inventory": shop.inventory_grpc}[service]
    name = f"shop.{service}.v1.{service.capitalize()}Service"
    assert call(environment, target, "grpc.health.v1.Health/Check", {"service": name}) == (0, {"status": "SERVING"})


def test_reflection_lists_the_service(shop: Endpoints, environment: dict[str, str]) -> None:
    """A client finds the methods by asking."""
    command = [
        str(Path(sys.executable).with_name("buf")),
        "curl",
        "--protocol",
        "grpc",
        "--http2-prior-knowledge",
        "--list-methods",
    ]
    run = subprocess.run(
        [*command, f"http://{shop.inventory_grpc}"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    methods = [line for line in run.stdout.splitlines() if line.startswith("shop.")]
    assert len(methods) == 8
