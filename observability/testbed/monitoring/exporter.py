"""Runs prometheus-postgres-exporter for the embedded PostgreSQL, with the queries that the dashboards use."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from observability.testbed.monitoring.program import MonitoringProgram
from services.local.processes.scratch_folder import Scratch
from services.local.servers.ports import free_port, local_address

PROGRAM = "prometheus-postgres-exporter"
QUERIES = Path(__file__).resolve().parents[3] / "grafana" / "postgres_exporter" / "queries.yml"


@asynccontextmanager
async def postgres_exporter(admin_dsn: str, logs_directory: Path) -> AsyncIterator[dict[str, str]]:
    """Run the exporter during a with block; yield its host:port by job, or nothing if it is not on PATH."""
    program = shutil.which(PROGRAM)
    if program is None:
        yield {}
        return
    address = str(local_address(free_port()))
    arguments = (
        f"--web.listen-address={address}",
        f"--extend.query-path={QUERIES}",
        "--disable-default-metrics",
        "--disable-settings-metrics",
        # In Debian's version these do not support PostgreSQL 17 and later.
        "--no-collector.database",
        "--no-collector.bgwriter",
    )
    exporter = MonitoringProgram(
        name="postgres-exporter",
        arguments=(program, *arguments),
        ready_url=f"http://{address}/metrics",
        logs_directory=logs_directory,
        secrets={"DATA_SOURCE_NAME": admin_dsn},
    )
    scratch = Scratch()
    try:
        async with exporter.running(scratch):
            yield {"postgres": address}
    finally:
        await scratch.close()
