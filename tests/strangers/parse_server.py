"""Parse Server on Node.js and PostgreSQL, with the stock instrumentation of OpenTelemetry for Node.js."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import aiohttp
import asyncpg

from tests.stack import programs
from tests.stack.kept import kept
from tests.stack.processes import HOST, answers, eventually, free_port
from tests.strangers.database import NAME as DATABASE
from tests.strangers.database import database
from tests.strangers.load import Send
from tests.strangers.running import System, limited_cpu, program
from tests.strangers.settings import Setting

PACKAGES = (
    "parse-server@8.6.94",
    "@opentelemetry/api@1.9.1",
    "@opentelemetry/auto-instrumentations-node@0.81.2",
)
INSTALL_SECONDS = 900
START_SECONDS = 180.0
ROWS = 300_000
APP, KEY = "app", "key"
HEADERS = {"X-Parse-Application-Id": APP, "X-Parse-Master-Key": KEY}
FILL = """
INSERT INTO "Item" ("objectId", "createdAt", "updatedAt", "code")
SELECT 'o' || number, now(), now(), 'code' || number FROM generate_series(1, $1::integer) AS number
"""


def build() -> Path:
    """Return the folder with the packages, installed once; skips without Node.js or npm."""
    return kept("parse-server", " ".join(PACKAGES), _install)


@asynccontextmanager
async def run(setting: Setting, folder: Path, otlp: str) -> AsyncIterator[System]:
    """Run Parse Server in one setting, with its table filled."""
    packages, node = build(), programs.need("node")
    port = free_port()
    base = f"http://{HOST}:{port}/parse"
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(database(setting, folder))
        options = dict(option.partition("=")[::2] for option in setting.options)
        configuration = folder / "configuration.json"
        configuration.write_text(
            json.dumps(
                {
                    "appId": APP,
                    "masterKey": KEY,
                    "databaseURI": f"postgres://postgres:{store.password}@{store.address}/postgres"
                    f"?poolSize={options['pool']}",
                    "serverURL": base,
                    "port": port,
                    "mountPath": "/parse",
                    "logsFolder": None,
                    "allowClientClassCreation": True,
                }
            ),
            encoding="utf-8",
        )
        environment = {
            "NODE_OPTIONS": "--require @opentelemetry/auto-instrumentations-node/register",
            # The others ask for a cloud that is not there, and wait.
            "OTEL_NODE_RESOURCE_DETECTORS": "env,host,process",
            "OTEL_SERVICE_NAME": "parse",
            "OTEL_EXPORTER_OTLP_ENDPOINT": otlp,
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_BSP_MAX_QUEUE_SIZE": "65536",
        }
        command: list[str | Path] = [node, "node_modules/parse-server/bin/parse-server", configuration]
        log = folder / "parse.log"
        process = stack.enter_context(program(command, log=log, environment=environment, folder=packages))
        # In a thread, since the proxy runs in this one.
        up = partial(answers, f"{base}/health")
        await asyncio.to_thread(eventually, up, what=f"{base} answers", seconds=START_SECONDS)
        await _prepare(base, store.admin_dsn, index="index" in options)
        limited = {}
        if setting.cpu:
            limited["parse"] = stack.enter_context(limited_cpu(process.pid, setting.cpu[1]))
        yield System(send=_sender(base), pids={"parse": process.pid, DATABASE: store.pid}, cpu_limit=limited)


async def _prepare(base: str, dsn: str, *, index: bool) -> None:
    """Make the class and, by its own API, the index; fill the table, which its API would take minutes for."""
    schema = {"className": "Item", "fields": {"code": {"type": "String"}}}
    async with aiohttp.ClientSession(headers=HEADERS, raise_for_status=True) as session:
        async with session.post(f"{base}/schemas/Item", json=schema) as answer:
            await answer.read()
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute(FILL, ROWS)
            await connection.execute("ANALYZE")
        finally:
            await connection.close()
        if index:
            indices = {"className": "Item", "indexes": {"by_code": {"code": 1}}}
            async with session.put(f"{base}/schemas/Item", json=indices) as answer:
                await answer.read()


def _sender(base: str) -> Send:
    async def send(session: aiohttp.ClientSession, source: random.Random) -> bool:
        wanted = json.dumps({"code": f"code{source.randint(1, ROWS)}"})
        asked = session.get(f"{base}/classes/Item", params={"where": wanted, "limit": "1"}, headers=HEADERS)
        async with asked as answer:
            return answer.status == 200 and len((await answer.json())["results"]) == 1

    return send


def _install(folder: Path) -> None:
    npm = programs.need("npm")
    programs.need("node")
    (folder / "package.json").write_text('{"name": "strangers", "private": true}', encoding="utf-8")
    command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", *PACKAGES]
    programs.run(command, timeout=INSTALL_SECONDS, folder=folder)
