"""Endpoints file: addresses, processes and paths of a running platform."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from services.infra.atomic_file import write_atomically
from services.local.processes.errors import FolderUnusable
from services.local.processes.process_identity import is_same_process

Mode = Literal["services", "monolith"]
Bus = Literal["postgres", "nats"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Addresses as host:port, process ids, and paths of one running platform.

    supervisor_token: identifies the supervisor's process beyond its pid
    admin: admin address by process name
    databases: DSN by database name; with passwords
    replica_databases: DSN by database name of each streaming replica; with passwords
    event_log_url: with a password
    shard_event_log_urls: event logs of further servers of orders; with passwords
    event_log_allow_unsafe_sync: whether the log may be used although it does not confirm that it syncs each write
    postgres_pid: pid at the start; a restart changes it. None with a server that was given
    replica_pids: pid of each streaming replica at the start
    logs: path of the log by process name
    """

    run_id: str
    mode: Mode
    bus: Bus
    supervisor_pid: int
    supervisor_token: str
    edge_http: str
    order_grpc: str
    inventory_grpc: str
    admin: Mapping[str, str]
    otlp_http: str
    databases: Mapping[str, str] = field(repr=False)
    event_log_url: str = field(repr=False)
    event_log_allow_unsafe_sync: bool
    postgres_pid: int | None
    service_pids: Mapping[str, int]
    run_directory: str
    traces_directory: str
    notifications_directory: str
    logs: Mapping[str, str]
    replica_databases: list[Mapping[str, str]] = field(default_factory=list, repr=False)
    replica_pids: list[int] = field(default_factory=list)
    shard_event_log_urls: list[str] = field(default_factory=list, repr=False)

    def save(self, path: Path) -> None:
        """Write the file in one step, readable by its owner only. Raises FolderUnusable."""
        try:
            write_atomically(path, f"{json.dumps(asdict(self), indent=2)}\n".encode(), mode=0o600)
        except OSError as error:
            raise FolderUnusable(
                f"cannot write {path}: {error.strerror}. Choose a folder that you may write."
            ) from error

    @classmethod
    def load(cls, path: Path) -> "Endpoints":
        """Read the file. Raises OSError, or ValueError if it is not an endpoints file."""
        try:
            return cls(**json.loads(path.read_text()))
        except TypeError as error:
            raise ValueError(f"{path} is not an endpoints file of this version") from error

    def running(self) -> bool:
        """Return whether the supervisor that wrote the file is running."""
        return is_same_process(self.supervisor_pid, self.supervisor_token)


def newest_running(folder: Path) -> Endpoints | None:
    """Return the endpoints of the running platform in `folder` that was started last, or None."""
    for path in sorted(folder.glob("*.json"), key=_modified, reverse=True):
        found = _load_or_none(path)
        if found is not None and found.running():
            return found
    return None


def remove_stale(folder: Path) -> None:
    """Remove the endpoints files in `folder` whose supervisor has ended."""
    for path in folder.glob("*.json"):
        found = _load_or_none(path)
        if found is not None and not found.running():
            path.unlink(missing_ok=True)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _load_or_none(path: Path) -> Endpoints | None:
    """Return the endpoints in a file, or None if it is missing, unreadable, or no endpoints file."""
    try:
        return Endpoints.load(path)
    except (OSError, ValueError):
        return None
