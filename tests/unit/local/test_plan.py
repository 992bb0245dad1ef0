"""Settings of each process, and variables that it must not inherit."""

from pathlib import Path

import pytest

from services.local.platform.plan import (
    DATABASES,
    EventLogAddress,
    PlatformOptions,
    base_environment,
    forward_settings,
    monolith_settings,
    order_settings,
)
from services.local.servers.ports import Ports

ADDRESSES = {name: f"postgresql://{name}" for name in DATABASES}
SECRET = "nats://shop:secret@127.0.0.1:8408"


@pytest.mark.parametrize(
    ("exported", "endpoint", "protocol"),
    [
        ({"ENDPOINT": "http://jaeger:4318"}, "http://jaeger:4318/v1/traces", "http/protobuf"),
        ({"ENDPOINT": "http://jaeger:4318/", "TRACES_PROTOCOL": ""}, "http://jaeger:4318/v1/traces", "http/protobuf"),
        ({"ENDPOINT": "http://a", "TRACES_ENDPOINT": "http://b/otlp"}, "http://b/otlp", "http/protobuf"),
        ({"ENDPOINT": "https://jaeger:4317", "PROTOCOL": "grpc"}, "https://jaeger:4317", "grpc"),
    ],
)
def test_spans_are_sent_on_to_what_a_user_exports(exported: dict[str, str], endpoint: str, protocol: str) -> None:
    settings = forward_settings({f"OTEL_EXPORTER_OTLP_{name}": value for name, value in exported.items()})
    assert (settings["RECEIVER_FORWARD_ENDPOINT"], settings["RECEIVER_FORWARD_PROTOCOL"]) == (endpoint, protocol)


@pytest.mark.parametrize("exported", [{}, {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, {"OTEL_EXPORTER_OTLP_HEADERS": "a=b"}])
def test_without_an_endpoint_nothing_is_sent_on(exported: dict[str, str]) -> None:
    assert forward_settings(exported) == {}


@pytest.mark.parametrize(
    ("name", "value"), [("ENDPOINT", "jaeger:4318"), ("PROTOCOL", "http/json"), ("TRACES_PROTOCOL", "thrift")]
)
def test_an_unusable_endpoint_is_a_sentence(name: str, value: str) -> None:
    exported = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://jaeger:4318", f"OTEL_EXPORTER_OTLP_{name}": value}
    with pytest.raises(ValueError, match=f"must .*{value}"):
        forward_settings(exported)


def test_the_monolith_has_one_admin_port_and_one_ready_file() -> None:
    settings = monolith_settings(
        ports=Ports(),
        databases=ADDRESSES,
        event_log=EventLogAddress("postgresql://event_log", allow_unsafe_sync=False),
        cache_url="",
        ready_file=Path("ready"),
        outbox_folder=Path("notifications"),
    )
    assert sorted(settings) == [
        "INVENTORY_CACHE_URL",
        "INVENTORY_DATABASE_DSN",
        "INVENTORY_GRPC_LISTEN",
        "NOTIFICATION_DATABASE_DSN",
        "NOTIFICATION_EVENT_LOG_ALLOW_UNSAFE_SYNC",
        "NOTIFICATION_EVENT_LOG_URL",
        "NOTIFICATION_OUTBOX_FOLDER",
        "NOTIFICATION_SHARD_EVENT_LOG_URLS",
        "ORDER_ADMIN_LISTEN",
        "ORDER_DATABASE_DSN",
        "ORDER_EVENT_LOG_ALLOW_UNSAFE_SYNC",
        "ORDER_EVENT_LOG_URL",
        "ORDER_GRPC_LISTEN",
        "ORDER_HTTP_LISTEN",
        "ORDER_READY_FILE",
        "ORDER_READ_DATABASE_DSN",
        "ORDER_SHARD_DSNS",
        "ORDER_SHARD_EVENT_LOG_URLS",
    ]


def test_further_servers_of_orders_are_listed_in_order() -> None:
    settings = order_settings(
        ports=Ports(),
        databases={**ADDRESSES, "order_2": "postgresql://two", "order_1": "postgresql://one"},
        event_log=EventLogAddress(SECRET, allow_unsafe_sync=True, shard_urls=("nats://a", "nats://b")),
        ready_file=Path("ready"),
        inventory_target="127.0.0.1:1",
    )
    assert settings["ORDER_SHARD_DSNS"] == "postgresql://one postgresql://two"
    assert settings["ORDER_SHARD_EVENT_LOG_URLS"] == "nats://a nats://b"


@pytest.mark.parametrize(("unsafe", "said"), [(True, "true"), (False, "false")])
def test_a_service_knows_whether_its_log_may_lose_messages(unsafe: bool, said: str) -> None:
    settings = order_settings(
        ports=Ports(),
        databases=ADDRESSES,
        event_log=EventLogAddress(SECRET, allow_unsafe_sync=unsafe),
        ready_file=Path("ready"),
        inventory_target="127.0.0.1:1",
    )
    assert settings["ORDER_EVENT_LOG_ALLOW_UNSAFE_SYNC"] == said


def test_the_password_of_the_event_log_is_not_in_repr() -> None:
    assert "secret" not in repr(EventLogAddress(SECRET, allow_unsafe_sync=False))


@pytest.mark.parametrize(
    "name",
    [
        "ORDER_DATABASE_DSN",
        "NOTIFICATION_SMTP_HOST",
        "PLUMB_POSTGRES_DSN",
        "PGPASSWORD",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    ],
)
def test_settings_of_the_shell_reach_no_process(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "stray")
    assert name not in base_environment()


def test_other_variables_of_the_shell_reach_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert base_environment()["OTEL_SDK_DISABLED"] == "true"


def test_calls_on_this_machine_pass_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "example.org")
    assert base_environment()["no_proxy"] == "example.org,127.0.0.1,localhost,::1"


def test_a_variable_for_one_process_wins_over_the_one_for_all() -> None:
    options = PlatformOptions(
        run_directory=Path("out"), environment={"*": {"LOG_LEVEL": "info"}, "order": {"LOG_LEVEL": "debug"}}
    )
    assert options.extra_environment("order") == {"LOG_LEVEL": "debug"}
    assert options.extra_environment("inventory") == {"LOG_LEVEL": "info"}
