"""Processes that start before their databases are migrated: alive at once, and ready as soon as the migration ends.

So in a cluster nothing has to wait for the migration, and pods of a new version take no calls before it.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import asyncpg
import pytest

from services.infra.address import parse_address
from tests.patience import PATIENCE_SECONDS
from tests.postgres import PostgresServer

INTERVAL_SECONDS = 0.1
DATABASES = {
    "order": ("DATABASE_DSN", "READ_DATABASE_DSN", "EVENT_LOG_URL"),
    "inventory": ("DATABASE_DSN",),
    "notification": ("DATABASE_DSN", "EVENT_LOG_URL"),
}


async def empty_databases(server: PostgresServer, service: str) -> dict[str, str]:
    """Return settings with a new, empty database for each address that a service needs."""
    settings = {}
    connection = await asyncpg.connect(server.admin_dsn)
    try:
        for name in DATABASES[service]:
            database = f"unmigrated_{service}_{name.lower()}"
            await connection.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
            await connection.execute(f"CREATE DATABASE {database}")
            settings[f"{service.upper()}_{name}"] = f"{server.admin_dsn.rpartition('/')[0]}/{database}"
    finally:
        await connection.close()
    return settings


def environment(service: str, settings: dict[str, str], folder: Path) -> dict[str, str]:
    """Return the environment of a service on free ports of the loopback."""
    prefix = service.upper()
    listens = {f"{prefix}_{name}_LISTEN": "127.0.0.1:0" for name in ("ADMIN", "GRPC", "HTTP")}
    if service != "order":
        del listens[f"{prefix}_HTTP_LISTEN"]
    if service == "notification":
        del listens[f"{prefix}_GRPC_LISTEN"]
        settings = settings | {"NOTIFICATION_OUTBOX_FOLDER": str(folder / "mails")}
    return {
        **os.environ,
        **listens,
        **settings,
        f"{prefix}_READY_FILE": str(folder / "ready.json"),
        "OTEL_TRACES_EXPORTER": "none",
    }


@contextmanager
def running(service: str, variables: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", f"services.{service}", "serve"]
    process = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def status(admin: str, path: str) -> int:
    """Return the status with which an admin port answers."""
    host, port = parse_address(admin)
    connection = HTTPConnection(host, port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("service", DATABASES)
async def test_process_is_alive_and_becomes_ready_by_the_migration(
    service: str, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    variables = environment(service, await empty_databases(postgres_server, service), tmp_path)
    ready_file = tmp_path / "ready.json"
    with running(service, variables) as process:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not ready_file.exists():
                assert process.poll() is None, "the process ended"
                await asyncio.sleep(INTERVAL_SECONDS)
        admin = json.loads(ready_file.read_text())["admin"]
        assert [status(admin, path) for path in ("/livez", "/readyz")] == [200, 503]
        migration = [sys.executable, "-m", f"services.{service}.migrate"]
        await asyncio.to_thread(
            subprocess.run, migration, env=variables, check=True, capture_output=True, timeout=PATIENCE_SECONDS
        )
        async with asyncio.timeout(PATIENCE_SECONDS):
            while status(admin, "/readyz") != 200:
                await asyncio.sleep(INTERVAL_SECONDS)
        assert status(admin, "/livez") == 200
