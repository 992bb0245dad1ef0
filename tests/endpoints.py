"""The file that `plumb up` writes, for commands that are pointed at databases of a test."""

from collections.abc import Mapping
from pathlib import Path

from services.local.platform.endpoints import Endpoints


def write_endpoints(dsns: Mapping[str, str], folder: Path) -> Path:
    """Write the file into a folder, which is also the folder of the confirmations; return its path."""
    path = folder / "endpoints.json"
    Endpoints(
        run_id="test",
        mode="services",
        bus="postgres",
        supervisor_pid=1,
        supervisor_token="",
        edge_http="",
        order_grpc="",
        inventory_grpc="",
        admin={},
        otlp_http="",
        databases=dsns,
        event_log_url=dsns["event_log"],
        event_log_allow_unsafe_sync=False,
        postgres_pid=None,
        service_pids={},
        run_directory="",
        traces_directory="",
        notifications_directory=str(folder),
        logs={},
    ).save(path)
    return path
