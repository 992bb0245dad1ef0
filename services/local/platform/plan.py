"""Settings of each process of the platform, as environment variables."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from services.local.platform.endpoints import Bus, Mode
from services.local.servers.ports import Ports, local_address

MODULES = {
    "receiver": "observability.receiver",
    "inventory": "services.inventory",
    "order": "services.order",
    "notification": "services.notification",
    "monolith": "services.monolith",
    "order-migrate": "services.order.migrate",
    "inventory-migrate": "services.inventory.migrate",
    "notification-migrate": "services.notification.migrate",
}
# One role each; the read model and the log of events are databases of their own, since each can be lost and rebuilt.
DATABASES = ("order", "order_read", "inventory", "notification", "event_log")
# Settings meant for one process must not reach the others from the shell that `plumb` was started in.
OWN_PREFIXES = ("ORDER_", "INVENTORY_", "NOTIFICATION_", "RECEIVER_", "OTEL_EXPORTER_OTLP_", "PLUMB_", "PG")
# It has one admin port and one ready file, those of order, and calls inventory without a wire.
UNUSED_BY_MONOLITH = frozenset(
    {
        "ORDER_INVENTORY_TARGET",
        "INVENTORY_ADMIN_LISTEN",
        "INVENTORY_READY_FILE",
        "NOTIFICATION_ADMIN_LISTEN",
        "NOTIFICATION_READY_FILE",
    }
)
FORWARD_PROTOCOLS = ("http/protobuf", "grpc")
LOCAL_HOSTS = "127.0.0.1,localhost,::1"


@dataclass(frozen=True, slots=True)
class EventLogAddress:
    """Where events are published to, and whether the log is used though it does not say that it syncs each write."""

    url: str = field(repr=False)
    allow_unsafe_sync: bool

    def settings(self, prefix: str) -> dict[str, str]:
        """The settings of a service whose variables have this prefix."""
        return {
            f"{prefix}_EVENT_LOG_URL": self.url,
            f"{prefix}_EVENT_LOG_ALLOW_UNSAFE_SYNC": str(self.allow_unsafe_sync).lower(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformOptions:
    """How to run the platform.

    `bus` is where events are published: to a database of PostgreSQL or to a NATS server of our own. `port_base` None
    takes free ports. `environment` gives extra variables by process name (order, inventory, notification, monolith,
    receiver; "*" means each). `cpus` are the processors that all processes of the platform share; None means any.
    `modules` replaces the module that a process runs, by process name. A service has `start_timeout_seconds` to be
    ready and, told to stop, `stop_timeout_seconds` to drain before it is killed. What must be gone at the end, the data
    of a PostgreSQL of ours above all, lies in a new folder below `temporary_directory`; None means the system's.
    """

    run_directory: Path
    temporary_directory: Path | None = None
    mode: Mode = "services"
    bus: Bus = "postgres"
    port_base: int | None = None
    environment: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    cpus: frozenset[int] | None = None
    modules: Mapping[str, str] = field(default_factory=dict)
    start_timeout_seconds: float = 60.0
    stop_timeout_seconds: float = 15.0

    @property
    def logs_directory(self) -> Path:
        """Where each process's output goes, as NAME.log."""
        return self.run_directory / "logs"

    @property
    def traces_directory(self) -> Path:
        """Where the receiver writes spans."""
        return self.run_directory / "traces"

    @property
    def notifications_directory(self) -> Path:
        """Where confirmations go, one file each: there is no mail server here."""
        return self.run_directory / "notifications"

    def module(self, name: str) -> str:
        """The Python module of a process."""
        return self.modules.get(name, MODULES[name])

    def extra_environment(self, name: str) -> dict[str, str]:
        """The extra variables of a process."""
        return {**self.environment.get("*", {}), **self.environment.get(name, {})}


def base_environment() -> dict[str, str]:
    """What every process inherits: our own environment less the settings of single processes, and no proxy between."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(OWN_PREFIXES)}
    for name in ("no_proxy", "NO_PROXY"):
        inherited[name] = ",".join(filter(None, (inherited.get(name), LOCAL_HOSTS)))
    return inherited


def receiver_settings(*, ports: Ports, directory: Path, ready_file: Path) -> dict[str, str]:
    """The receiver's settings."""
    return {
        "RECEIVER_LISTEN": _listen(ports.otlp_http),
        "RECEIVER_DIRECTORY": str(directory),
        "RECEIVER_READY_FILE": str(ready_file),
    }


def forward_settings(exported: Mapping[str, str]) -> dict[str, str]:
    """The receiver's settings for sending spans on to the OTLP endpoint of these variables; none without an endpoint.

    Raises ValueError, with a sentence, for what the receiver cannot do.
    """

    def value_of(name: str) -> str:
        # What is said of traces wins; the empty string is unset.
        return exported.get(f"OTEL_EXPORTER_OTLP_TRACES_{name}") or exported.get(f"OTEL_EXPORTER_OTLP_{name}") or ""

    protocol = value_of("PROTOCOL") or "http/protobuf"
    endpoint = value_of("ENDPOINT")
    if not endpoint:
        return {}
    if protocol not in FORWARD_PROTOCOLS:
        raise ValueError(f"OTEL_EXPORTER_OTLP_PROTOCOL must be one of {', '.join(FORWARD_PROTOCOLS)}, not {protocol!r}")
    if not endpoint.startswith(("http://", "https://")):
        raise ValueError(f"OTEL_EXPORTER_OTLP_ENDPOINT must begin with http:// or https://, not {endpoint!r}")
    if protocol == "http/protobuf" and not exported.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        endpoint = f"{endpoint.rstrip('/')}/v1/traces"
    files = ("CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY")
    settings = {"ENDPOINT": endpoint, "PROTOCOL": protocol, "HEADERS": value_of("HEADERS")}
    settings |= {name: str(Path(path).resolve()) for name in files if (path := value_of(name))}
    return {f"RECEIVER_FORWARD_{name}": value for name, value in settings.items()}


def inventory_settings(*, ports: Ports, dsn: str, cache_url: str, ready_file: Path) -> dict[str, str]:
    """The inventory service's settings; an empty `cache_url` is no cache."""
    return {
        "INVENTORY_DATABASE_DSN": dsn,
        "INVENTORY_CACHE_URL": cache_url,
        "INVENTORY_GRPC_LISTEN": _listen(ports.inventory_grpc),
        "INVENTORY_ADMIN_LISTEN": _listen(ports.inventory_admin),
        "INVENTORY_READY_FILE": str(ready_file),
    }


def order_stores(*, databases: Mapping[str, str], event_log: EventLogAddress) -> dict[str, str]:
    """Where the order service keeps what it knows; all that its migrations need."""
    return {
        "ORDER_DATABASE_DSN": databases["order"],
        "ORDER_READ_DATABASE_DSN": databases["order_read"],
        **event_log.settings("ORDER"),
    }


def order_settings(
    *,
    ports: Ports,
    databases: Mapping[str, str],
    event_log: EventLogAddress,
    ready_file: Path,
    inventory_target: str,
) -> dict[str, str]:
    """The order service's settings."""
    return {
        **order_stores(databases=databases, event_log=event_log),
        "ORDER_GRPC_LISTEN": _listen(ports.order_grpc),
        "ORDER_HTTP_LISTEN": _listen(ports.edge_http),
        "ORDER_ADMIN_LISTEN": _listen(ports.order_admin),
        "ORDER_READY_FILE": str(ready_file),
        "ORDER_INVENTORY_TARGET": inventory_target,
    }


def notification_stores(*, dsn: str, event_log: EventLogAddress) -> dict[str, str]:
    """Where the notification service keeps what it knows; all that its migrations need."""
    return {"NOTIFICATION_DATABASE_DSN": dsn, **event_log.settings("NOTIFICATION")}


def notification_settings(
    *, ports: Ports, dsn: str, event_log: EventLogAddress, ready_file: Path, outbox_folder: Path
) -> dict[str, str]:
    """The notification service's settings: its mail goes to a folder."""
    return {
        **notification_stores(dsn=dsn, event_log=event_log),
        "NOTIFICATION_ADMIN_LISTEN": _listen(ports.notification_admin),
        "NOTIFICATION_READY_FILE": str(ready_file),
        "NOTIFICATION_OUTBOX_FOLDER": str(outbox_folder.resolve()),
    }


def monolith_settings(
    *,
    ports: Ports,
    databases: Mapping[str, str],
    event_log: EventLogAddress,
    cache_url: str,
    ready_file: Path,
    outbox_folder: Path,
) -> dict[str, str]:
    """The monolith's settings: all services', with one admin port and one ready file."""
    settings = {
        **order_settings(
            ports=ports, databases=databases, event_log=event_log, ready_file=ready_file, inventory_target=""
        ),
        **inventory_settings(ports=ports, dsn=databases["inventory"], cache_url=cache_url, ready_file=ready_file),
        **notification_settings(
            ports=ports,
            dsn=databases["notification"],
            event_log=event_log,
            ready_file=ready_file,
            outbox_folder=outbox_folder,
        ),
    }
    return {name: value for name, value in settings.items() if name not in UNUSED_BY_MONOLITH}


def _listen(port: int) -> str:
    return str(local_address(port))
