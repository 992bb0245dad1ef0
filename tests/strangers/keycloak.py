"""Keycloak on PostgreSQL, under the stock Java agent of OpenTelemetry."""

import asyncio
import random
import shutil
import tarfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import aiohttp

from tests.stack import programs
from tests.stack.kept import kept
from tests.stack.processes import HOST, answers, eventually, free_port
from tests.strangers.database import NAME as DATABASE
from tests.strangers.database import database
from tests.strangers.load import Send
from tests.strangers.running import System, limited_cpu, program
from tests.strangers.settings import Setting

SERVER = "org.keycloak:keycloak-quarkus-dist:26.5.6:tar.gz"
AGENT = "io.opentelemetry.javaagent:opentelemetry-javaagent:2.10.0"
USER, PASSWORD = "admin", "admin"
FETCH_SECONDS = 900
BUILD_SECONDS = 1200
# Its first start makes a hundred tables, with the agent's code still cold.
START_SECONDS = 900.0


def build() -> Path:
    """Return the folder of Keycloak and of the agent, fetched and prepared for PostgreSQL once; skips without Java."""
    return kept("keycloak", f"{SERVER} {AGENT}", _fetch)


@asynccontextmanager
async def run(setting: Setting, folder: Path, otlp: str) -> AsyncIterator[System]:
    """Run Keycloak in one setting."""
    programs.need("java")
    home = build()
    port, management = free_port(), free_port()
    base = f"http://{HOST}:{port}/realms/master"
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(database(setting, folder))
        environment = {
            "JAVA_OPTS_APPEND": f"-javaagent:{home / 'agent.jar'}",
            "OTEL_SERVICE_NAME": "keycloak",
            "OTEL_EXPORTER_OTLP_ENDPOINT": otlp,
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_BSP_MAX_QUEUE_SIZE": "65536",
            "KC_DB_URL": f"jdbc:postgresql://{store.address}/postgres",
            "KC_DB_USERNAME": "postgres",
            "KC_DB_PASSWORD": store.password,
            "KC_CACHE": "local",
            "KC_HTTP_ENABLED": "true",
            "KC_HTTP_PORT": str(port),
            "KC_HTTP_MANAGEMENT_PORT": str(management),
            "KC_HOSTNAME_STRICT": "false",
            "KC_BOOTSTRAP_ADMIN_USERNAME": USER,
            "KC_BOOTSTRAP_ADMIN_PASSWORD": PASSWORD,
        }
        command: list[str | Path] = [home / "server/bin/kc.sh", "start", "--optimized"]
        process = stack.enter_context(program(command, log=folder / "keycloak.log", environment=environment))
        # In a thread, since the proxy runs in this one.
        await asyncio.to_thread(eventually, partial(answers, base), what=f"{base} answers", seconds=START_SECONDS)
        limited = {}
        if setting.cpu:
            limited["keycloak"] = stack.enter_context(limited_cpu(process.pid, setting.cpu[1]))
        pids = {"keycloak": process.pid, DATABASE: store.pid}
        yield System(
            send=_sender(base),
            pids=pids,
            metrics={"keycloak": f"http://{HOST}:{management}/metrics"},
            cpu_limit=limited,
        )


def _sender(base: str) -> Send:
    form = {"grant_type": "password", "client_id": "admin-cli", "username": USER, "password": PASSWORD}

    async def send(session: aiohttp.ClientSession, source: random.Random) -> bool:
        del source
        async with session.post(f"{base}/protocol/openid-connect/token", data=form) as answer:
            return answer.status == 200 and "access_token" in await answer.json()

    return send


def _fetch(folder: Path) -> None:
    maven = programs.need("mvn")
    programs.need("java")
    for artifact in (SERVER, AGENT):
        command = [maven, "-q", "-B", "dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={folder}"]
        programs.run(command, timeout=FETCH_SECONDS)
    (archive,) = folder.glob("keycloak-*.tar.gz")
    with tarfile.open(archive) as opened:
        # Debian 12 has Python 3.11.2, whose tarfile knows no filters yet.
        opened.extraction_filter = getattr(tarfile, "data_filter", None)
        opened.extractall(folder)
    archive.unlink()
    next(folder.glob("opentelemetry-javaagent-*.jar")).rename(folder / "agent.jar")
    shutil.move(next(folder.glob("keycloak-*")), folder / "server")
    prepare: list[str | Path] = [folder / "server/bin/kc.sh", "build", "--db=postgres", "--metrics-enabled=true"]
    programs.run(prepare, timeout=BUILD_SECONDS)
