"""Settings of each process of the platform, as environment variables."""

import os
from collections.abc import Mapping, Sequence
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
# The services' processes, which start in this order, since each calls those before it.
PROCESSES: Mapping[Mode, tuple[str, ...]] = {
    "services": ("inventory", "order", "notification"),
    "monolith": ("monolith",),
}
# One role each. The read model and the event log have databases of their own, since each can be lost and rebuilt.
DATABASES = ("order", "order_read", "inventory", "notification", "event_log")
# Variables for single processes, which the processes must not inherit from the shell that started `plumb`.
OWN_PREFIXES = ("ORDER_", "INVENTORY_", "NOTIFICATION_", "RECEIVER_", "OTEL_EXPORTER_OTLP_", "PLUMB_", "PG")
# Settings that all processes inherit, although their names begin with one of these prefixes.
COMMON_SETTINGS = frozenset({"PLUMB_TELEMETRY_SDK"})
# The monolith has one admin port and one ready file, those of order, and calls inventory in process.
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
    """Where events are published.

    url: the event log.
    allow_unsafe_sync: whether to use it although it does not confirm that it syncs each write.
    shard_urls: the event logs of further servers of orders.
    """

    url: str = field(repr=False)
    allow_unsafe_sync: bool
    shard_urls: tuple[str, ...] = field(default=(), repr=False)

    def settings(self, prefix: str) -> dict[str, str]:
        """Return the settings of a service whose variables have this prefix."""
        return {
            f"{prefix}_EVENT_LOG_URL": self.url,
            f"{prefix}_SHARD_EVENT_LOG_URLS": " ".join(self.shard_urls),
            f"{prefix}_EVENT_LOG_ALLOW_UNSAFE_SYNC": str(self.allow_unsafe_sync).lower(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformOptions:
    """Options of a platform.

    run_directory: folder of logs, traces and confirmations
    temporary_directory: parent of the temporary folder, with the embedded PostgreSQL's data, which is removed at the
        end; None means the system's
    mode: three services, or one monolith
    bus: event log in PostgreSQL, or in an embedded NATS server
    shards: servers of orders, each a PostgreSQL server
    port_base: first of the documented ports; None takes free ports
    environment: extra variables by process name (order, inventory, notification, monolith, receiver; "*" means all)
    replicas: number of streaming replicas of each embedded PostgreSQL server
    cpus: processors that all processes of the platform share; None means all
    modules: module that a process runs instead of its own, by process name
    start_timeout_seconds: time for a service to become ready
    stop_timeout_seconds: time for a service to drain before it is killed
    """

    run_directory: Path
    temporary_directory: Path | None = None
    mode: Mode = "services"
    bus: Bus = "postgres"
    shards: int = 1
    port_base: int | None = None
    replicas: int = 0
    environment: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    cpus: frozenset[int] | None = None
    modules: Mapping[str, str] = field(default_factory=dict)
    start_timeout_seconds: float = 180.0
    stop_timeout_seconds: float = 15.0

    @property
    def shard_databases(self) -> tuple[tuple[str, ...], ...]:
        """Names of the databases on each further server of orders."""
        return tuple((order_database(number), f"event_log_{number}") for number in range(1, self.shards))

    @property
    def logs_directory(self) -> Path:
        """Folder of the processes' output, as NAME.log."""
        return self.run_directory / "logs"

    @property
    def traces_directory(self) -> Path:
        """Folder in which the receiver writes spans."""
        return self.run_directory / "traces"

    @property
    def notifications_directory(self) -> Path:
        """Folder of confirmations, one file each, instead of a mail server."""
        return self.run_directory / "notifications"

    def module(self, name: str) -> str:
        """Return the Python module of a process."""
        return {**MODULES, **self.modules}[name]

    def extra_environment(self, name: str) -> dict[str, str]:
        """Return the extra variables of a process."""
        return {**self.environment.get("*", {}), **self.environment.get(name, {})}


def order_database(server: int) -> str:
    """Return the name of the order database of a server of orders, counted from 0."""
    return f"order_{server}" if server else "order"


def order_databases(databases: Mapping[str, str]) -> list[str]:
    """Return those of the databases that hold orders, in order of their servers."""
    names = (order_database(server) for server in range(len(databases)))
    return [name for name in names if name in databases]


def base_environment() -> dict[str, str]:
    """Return our environment without the settings of single processes, and without proxies for local hosts."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name in COMMON_SETTINGS or not name.startswith(OWN_PREFIXES)
    }
    for name in ("no_proxy", "NO_PROXY"):
        inherited[name] = ",".join(filter(None, (inherited.get(name), LOCAL_HOSTS)))
    return inherited


def receiver_settings(*, ports: Ports, directory: Path, ready_file: Path) -> dict[str, str]:
    """Return the receiver's settings."""
    return {
        "RECEIVER_LISTEN": _listen(ports.otlp_http),
        "RECEIVER_DIRECTORY": str(directory),
        "RECEIVER_READY_FILE": str(ready_file),
    }


def forward_settings(exported: Mapping[str, str]) -> dict[str, str]:
    """Return the receiver's settings for forwarding spans to the OTLP endpoint of these variables; {} without one.

    Raises ValueError for values that the receiver does not support.
    """

    def value_of(name: str) -> str:
        # Variables for traces take precedence; the empty string counts as unset.
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


def replica_settings(replicas: Sequence[Mapping[str, str]], **variables: str) -> dict[str, str]:
    """Return the variables that list the replicas of a database, given as variable=database; {} without replicas.

    `replicas` has the DSNs of a replica by database, one mapping for each replica.
    """
    if not replicas:
        return {}
    return {variable: ",".join(dsns[database] for dsns in replicas) for variable, database in variables.items()}


def shard_replica_settings(replicas: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return the variable that lists the replicas of each further server of orders; {} without any."""
    lists = [[dsns[database] for dsns in replicas] for database in order_databases(dict(*replicas[:1]))[1:]]
    return {"ORDER_SHARD_REPLICA_DSNS": " ".join(map(",".join, lists))} if lists else {}


def inventory_settings(
    *, ports: Ports, dsn: str, cache_url: str, ready_file: Path, replicas: Sequence[Mapping[str, str]] = ()
) -> dict[str, str]:
    """Return the inventory service's settings; an empty `cache_url` means no cache."""
    return {
        "INVENTORY_DATABASE_DSN": dsn,
        **replica_settings(replicas, INVENTORY_REPLICA_DSNS="inventory"),
        "INVENTORY_CACHE_URL": cache_url,
        "INVENTORY_GRPC_LISTEN": _listen(ports.inventory_grpc),
        "INVENTORY_ADMIN_LISTEN": _listen(ports.inventory_admin),
        "INVENTORY_READY_FILE": str(ready_file),
    }


def order_stores(*, databases: Mapping[str, str], event_log: EventLogAddress) -> dict[str, str]:
    """Return the order service's databases and event log, which are all that its migrations need."""
    return {
        "ORDER_DATABASE_DSN": databases["order"],
        "ORDER_SHARD_DSNS": " ".join(databases[name] for name in order_databases(databases)[1:]),
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
    replicas: Sequence[Mapping[str, str]] = (),
) -> dict[str, str]:
    """Return the order service's settings."""
    return {
        **order_stores(databases=databases, event_log=event_log),
        **replica_settings(replicas, ORDER_REPLICA_DSNS="order", ORDER_READ_REPLICA_DSNS="order_read"),
        **shard_replica_settings(replicas),
        "ORDER_GRPC_LISTEN": _listen(ports.order_grpc),
        "ORDER_HTTP_LISTEN": _listen(ports.edge_http),
        "ORDER_ADMIN_LISTEN": _listen(ports.order_admin),
        "ORDER_READY_FILE": str(ready_file),
        "ORDER_INVENTORY_TARGET": inventory_target,
    }


def notification_stores(*, dsn: str, event_log: EventLogAddress) -> dict[str, str]:
    """Return the notification service's database and event log, which are all that its migrations need."""
    return {"NOTIFICATION_DATABASE_DSN": dsn, **event_log.settings("NOTIFICATION")}


def notification_settings(
    *, ports: Ports, dsn: str, event_log: EventLogAddress, ready_file: Path, outbox_folder: Path
) -> dict[str, str]:
    """Return the notification service's settings: it writes its mail to a folder."""
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
    replicas: Sequence[Mapping[str, str]] = (),
) -> dict[str, str]:
    """Return the monolith's settings: those of all services, with one admin port and one ready file."""
    settings = {
        **order_settings(
            ports=ports,
            databases=databases,
            event_log=event_log,
            ready_file=ready_file,
            inventory_target="",
            replicas=replicas,
        ),
        **inventory_settings(
            ports=ports, dsn=databases["inventory"], cache_url=cache_url, ready_file=ready_file, replicas=replicas
        ),
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
