"""Target of a run: the platform that the options name, or the newest running `plumb up`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from observability.load.errors import LoadError, LoadUsageError
from services.local.platform.endpoints import Endpoints, newest_running

UP_DIRECTORY = Path("out/up")
# The edge is served by the order process, and in one process by the monolith.
_EDGE_PROCESSES = ("order", "monolith")


@dataclass(frozen=True, slots=True)
class Target:
    """Addresses of a platform.

    edge: REST edge, host:port.
    inventory: inventory's gRPC, host:port; None if unknown.
    admin: metrics server of the edge's process, host:port; None if unknown.
    service_pids: the services' processes by name.
    """

    edge: str
    inventory: str | None = None
    admin: str | None = None
    service_pids: Mapping[str, int] = field(default_factory=dict)


def find_target(*, edge: str | None, inventory: str | None, endpoints_path: Path | None) -> Target:
    """Return the given `edge`, else that of the endpoints file, else that of the newest running `plumb up`.

    Raises LoadUsageError if the endpoints file cannot be used, LoadError if no platform is given or running.
    """
    if edge is not None and endpoints_path is None:
        return Target(edge=edge, inventory=inventory)
    found = newest_running(UP_DIRECTORY) if endpoints_path is None else _read(endpoints_path)
    if found is None:
        raise LoadError("no platform is running: start one with `plumb up`, or name its edge with --target HOST:PORT")
    return Target(
        edge=edge or found.edge_http,
        inventory=inventory or found.inventory_grpc,
        admin=next((found.admin[name] for name in _EDGE_PROCESSES if name in found.admin), None),
        service_pids=found.service_pids,
    )


def find_endpoints(path: Path | None) -> Endpoints:
    """Return the platform of an endpoints file, or without one that of the newest running `plumb up`.

    Raises LoadUsageError if the file cannot be used, LoadError if no platform is running.
    """
    found = newest_running(UP_DIRECTORY) if path is None else _read(path)
    if found is None:
        raise LoadError("no platform is running: start one with `plumb up`, or name its file with --endpoints PATH")
    return found


def _read(path: Path) -> Endpoints:
    try:
        return Endpoints.load(path)
    except (OSError, ValueError) as error:
        raise LoadUsageError(f"cannot use the endpoints file {path}: {error}; `plumb up` writes one") from error
