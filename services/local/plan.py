"""What is each process of the platform told when it starts?"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from services.local.endpoints import Mode
from services.local.ports import HOST, Ports

MODULES = {
    "receiver": "observability.receiver",
    "inventory": "services.inventory",
    "order": "services.order",
    "monolith": "services.monolith",
}
CONTEXTS = ("order", "inventory")
# Settings meant for one process must not reach the others from the shell that `plumb` was started in.
OWN_PREFIXES = ("ORDER_", "INVENTORY_", "RECEIVER_", "OTEL_EXPORTER_OTLP_", "PLUMB_", "PG")
LOCAL_HOSTS = "127.0.0.1,localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformOptions:
    """How to run the platform.

    `port_base` None takes free ports. `environment` gives extra variables by process name (order, inventory, monolith,
    receiver; "*" means each). `cpus` are the processors that all processes of the platform share; None means any.
    `modules` replaces the module that a process runs, by process name. A service has `start_timeout_seconds` to be
    ready and, told to stop, `stop_timeout_seconds` to drain before it is killed.
    """

    run_directory: Path
    mode: Mode = "services"
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


def inventory_settings(*, ports: Ports, dsn: str, ready_file: Path) -> dict[str, str]:
    """The inventory service's settings."""
    return {
        "INVENTORY_DATABASE_DSN": dsn,
        "INVENTORY_GRPC_LISTEN": _listen(ports.inventory_grpc),
        "INVENTORY_ADMIN_LISTEN": _listen(ports.inventory_admin),
        "INVENTORY_READY_FILE": str(ready_file),
    }


def order_settings(*, ports: Ports, dsn: str, ready_file: Path, inventory_target: str) -> dict[str, str]:
    """The order service's settings."""
    return {
        "ORDER_DATABASE_DSN": dsn,
        "ORDER_GRPC_LISTEN": _listen(ports.order_grpc),
        "ORDER_HTTP_LISTEN": _listen(ports.edge_http),
        "ORDER_ADMIN_LISTEN": _listen(ports.order_admin),
        "ORDER_READY_FILE": str(ready_file),
        "ORDER_INVENTORY_TARGET": inventory_target,
    }


def monolith_settings(*, ports: Ports, databases: Mapping[str, str], ready_file: Path) -> dict[str, str]:
    """The monolith's settings: both services', with one admin port and one ready file."""
    order = order_settings(ports=ports, dsn=databases["order"], ready_file=ready_file, inventory_target="")
    inventory = inventory_settings(ports=ports, dsn=databases["inventory"], ready_file=ready_file)
    unused = {"ORDER_INVENTORY_TARGET", "INVENTORY_ADMIN_LISTEN", "INVENTORY_READY_FILE"}
    return {name: value for name, value in {**order, **inventory}.items() if name not in unused}


def _listen(port: int) -> str:
    return f"{HOST}:{port}"
