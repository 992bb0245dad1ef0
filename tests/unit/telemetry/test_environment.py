"""OTEL_* variables: valid ones are used, and each invalid one gives one warning instead of an exception."""

import json
import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from observability.telemetry.environment import settle
from tests.full import in_full

# A process that starts telemetry, makes a span and ends.
PROGRAM = """
from observability.telemetry.rpc import server_call
from observability.telemetry import setup
runtime = setup.start("order", log_level="info")
with server_call(runtime.for_context("order"), "shop.order.v1.OrderService/GetOrder", {}) as call:
    call.status_code = "OK"
runtime.log.info("test.ended")
runtime.shut_down(timeout_seconds=5.0)
runtime.outputs.close()
"""


def events(**variables: str) -> list[str]:
    """Run a process with only these OTEL_* variables; return the events that it logs."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    environment |= {"OTEL_TRACES_EXPORTER": "none", **variables}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return [json.loads(line).get("event", "span") for line in ran.stdout.splitlines()]


@pytest.mark.parametrize(
    "variables",
    [
        {"OTEL_PROPAGATORS": "", "OTEL_TRACES_EXPORTER": "none", "OTEL_TRACES_SAMPLER": "", "OTEL_SDK_DISABLED": ""},
        {"OTEL_PROPAGATORS": "b3"},
        {"PLUMB_TELEMETRY_SDK": "stock"},
        *in_full(
            {"OTEL_PROPAGATORS": "none"},
            {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"},
            {"OTEL_SDK_DISABLED": "True"},
        ),
    ],
)
def test_a_valid_value_logs_no_warning(variables: dict[str, str]) -> None:
    assert events(**variables) == ["test.ended"]


@pytest.mark.parametrize("sdk", ["lean", "stock"])
def test_spans_on_the_console_are_lines(sdk: str) -> None:
    assert sorted(events(OTEL_TRACES_EXPORTER="console", PLUMB_TELEMETRY_SDK=sdk)) == ["span", "test.ended"]


@pytest.mark.parametrize(
    "variables",
    [
        {"OTEL_PROPAGATORS": "tracecontext,uber"},
        *in_full(
            {"OTEL_TRACES_EXPORTER": "zipkin", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
            {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "5"},
            {"OTEL_SPAN_EVENT_COUNT_LIMIT": "-1"},
        ),
    ],
)
def test_an_invalid_value_logs_one_warning_and_the_process_runs(variables: dict[str, str]) -> None:
    assert events(**variables)[0] == "telemetry.setting_left_out"


def test_the_empty_string_is_unset() -> None:
    environ = {"OTEL_TRACES_SAMPLER": "", "OTEL_SERVICE_NAME": " ", "ORDER_LISTEN": ""}
    assert settle(environ) == []
    assert environ == {"ORDER_LISTEN": ""}


def test_a_small_queue_makes_small_batches() -> None:
    """256 spans is legal; the SDK's own batch of 512 does not fit, and it raises."""
    environ = {"OTEL_BSP_MAX_QUEUE_SIZE": "256"}
    assert settle(environ) == []
    assert environ["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"] == "256"


def left_out(name: str) -> Callable[[str], bool]:
    """Tell whether a value is left out, with one sentence that names its variable."""

    def is_left_out(value: str) -> bool:
        environ = {name: value}
        sentences = settle(environ)
        assert [sentence.startswith(f"{name}=") for sentence in sentences] == [True] * (name not in environ)
        return name not in environ

    return is_left_out


@pytest.mark.parametrize(
    ("name", "legal", "illegal"),
    [
        ("OTEL_BSP_MAX_QUEUE_SIZE", ["1", "100000"], ["0", "-1", "many", "1e3"]),
        ("OTEL_BSP_SCHEDULE_DELAY", ["200"], ["0", "soon"]),
        ("OTEL_TRACES_SAMPLER", ["always_on", "ALWAYS_OFF", "parentbased_traceidratio"], ["sometimes"]),
        ("PLUMB_TELEMETRY_SDK", ["lean", "stock", "Stock"], ["other"]),
        ("OTEL_TRACES_SAMPLER_ARG", ["0", "0.25", "1"], ["5", "nan", "half"]),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", ["grpc", "http/protobuf"], ["http/json"]),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", ["10", "0.5"], ["0", "inf", "ten"]),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", ["http://[::1]:4318", "https://a.example/otlp"], ["a.example:4318", "http://"]),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", ["gzip"], ["brotli"]),
        ("OTEL_TRACES_EXPORTER", ["otlp", "console", "none"], ["zipkin", "otlp,console"]),
        ("OTEL_METRICS_EXPORTER", ["prometheus", "none"], ["otlp"]),
        ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", ["0", "128"], ["-1"]),
    ],
)
def test_each_value_is_kept_or_left_out_by_its_name(name: str, legal: list[str], illegal: list[str]) -> None:
    assert [value for value in (*legal, *illegal) if left_out(name)(value)] == illegal


def test_grpc_has_addresses_of_its_own() -> None:
    environ = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317"}
    assert settle(environ) == []
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in environ
