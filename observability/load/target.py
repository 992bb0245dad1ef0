"""Which platform does a run go to? The one named, or the one that `plumb up` started last."""

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
    """Addresses as host:port; without an endpoints file only the edge is known, and inventory if it is named."""

    edge: str
    inventory: str | None = None
    admin: str | None = None
    service_pids: Mapping[str, int] = field(default_factory=dict)


def find_target(*, edge: str | None, inventory: str | None, endpoints_path: Path | None) -> Target:
    """Find the platform: `edge` as named, else that of the endpoints file, else that of the newest running `plumb up`.

    Raises LoadUsageError when the endpoints file cannot be used, LoadError when no platform is named nor running.
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
    """Find the platform of an endpoints file, or without one the newest running `plumb up`.

    Raises LoadUsageError when the file cannot be used, LoadError when no platform is running.
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
