"""MLflow's tracking server on PostgreSQL, under the stock automatic instrumentation of OpenTelemetry for Python."""

import asyncio
import random
import sys
from collections.abc import AsyncIterator, Mapping
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

_INSTRUMENTATIONS = ("fastapi", "flask", "sqlalchemy", "psycopg2")
REQUIREMENTS = (
    "mlflow==3.8.1",
    "sqlalchemy==2.0.58",
    "psycopg2-binary==2.9.13",
    "opentelemetry-distro==0.66b1",
    "opentelemetry-exporter-otlp-proto-http==1.45.1",
    *(f"opentelemetry-instrumentation-{name}==0.66b1" for name in _INSTRUMENTATIONS),
)
# What the script opentelemetry-instrument does; its first line names the folder in which it was installed.
INSTRUMENT = "from opentelemetry.instrumentation.auto_instrumentation import run; run()"
INSTALL_SECONDS = 1200
# Its first start migrates the database in dozens of steps.
START_SECONDS = 300.0
RUNS = 20
MODELS = 20


def build() -> Path:
    """Return the folder of an environment with MLflow, installed once."""
    return kept("mlflow", " ".join(REQUIREMENTS), _install)


@asynccontextmanager
async def run(setting: Setting, folder: Path, otlp: str) -> AsyncIterator[System]:
    """Run MLflow in one setting, with runs and models to read."""
    environment = build()
    port = free_port()
    base = f"http://{HOST}:{port}"
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(database(setting, folder))
        options = dict(option.partition("=")[::2] for option in setting.options)
        address = f"postgresql+psycopg2://postgres:{store.password}@{store.address}/postgres"
        command: list[str | Path] = [
            *(environment / "bin/python", "-c", INSTRUMENT),
            *(environment / "bin/python", "-m", "mlflow", "server", "--workers", "1", "--host", HOST),
            *("--port", str(port), "--backend-store-uri", address, "--default-artifact-root", folder / "artifacts"),
        ]
        variables = _variables(environment, otlp, options)
        log = folder / "mlflow.log"
        process = stack.enter_context(program(command, log=log, environment=variables, folder=folder))
        # In a thread, since the proxy runs in this one.
        up = partial(answers, f"{base}/health")
        await asyncio.to_thread(eventually, up, what=f"{base} answers", seconds=START_SECONDS)
        send = await _prepare(f"{base}/api/2.0/mlflow", lists="list" in options)
        limited = {}
        if setting.cpu:
            limited["mlflow"] = stack.enter_context(limited_cpu(process.pid, setting.cpu[1]))
        yield System(send=send, pids={"mlflow": process.pid, DATABASE: store.pid}, cpu_limit=limited)


def _variables(environment: Path, otlp: str, options: Mapping[str, str]) -> dict[str, str]:
    pool = {}
    if "pool" in options:
        pool = {"MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": options["pool"], "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": "0"}
    return {
        "PATH": f"{environment / 'bin'}:/usr/bin:/bin",
        "PYTHONPATH": "",
        "OTEL_SERVICE_NAME": "mlflow",
        "OTEL_EXPORTER_OTLP_ENDPOINT": otlp,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_BSP_MAX_QUEUE_SIZE": "65536",
        **pool,
    }


async def _prepare(api: str, *, lists: bool) -> Send:
    """Fill the server by its own API; return what sends a request."""
    async with aiohttp.ClientSession(raise_for_status=True) as session:

        async def post(path: str, **body: object) -> dict[str, object]:
            async with session.post(f"{api}/{path}", json=body) as answer:
                found: dict[str, object] = await answer.json()
                return found

        if lists:
            for number in range(MODELS):
                await post("registered-models/create", name=f"model{number}")
                await post("model-versions/create", name=f"model{number}", source=f"mlflow-artifacts:/{number}")
            return _lister(api)
        names = []
        for number in range(RUNS):
            made = await post("runs/create", experiment_id="0", start_time=1)
            name = made["run"]["info"]["run_id"]  # type: ignore[index]
            names.append(str(name))
            parameters = [{"key": f"p{each}", "value": str(number)} for each in range(5)]
            metrics = [{"key": f"m{each}", "value": number, "timestamp": 1, "step": 0} for each in range(5)]
            await post("runs/log-batch", run_id=name, params=parameters, metrics=metrics)
        return _getter(api, names)


def _lister(api: str) -> Send:
    async def send(session: aiohttp.ClientSession, source: random.Random) -> bool:
        del source
        async with session.get(f"{api}/registered-models/search", params={"max_results": "100"}) as answer:
            return answer.status == 200 and len((await answer.json())["registered_models"]) == MODELS

    return send


def _getter(api: str, names: list[str]) -> Send:
    async def send(session: aiohttp.ClientSession, source: random.Random) -> bool:
        name = source.choice(names)
        async with session.get(f"{api}/runs/get", params={"run_id": name}) as answer:
            return answer.status == 200 and (await answer.json())["run"]["info"]["run_id"] == name

    return send


def _install(folder: Path) -> None:
    programs.run([sys.executable, "-m", "venv", folder], timeout=INSTALL_SECONDS)
    command: list[str | Path] = [folder / "bin/python", "-m", "pip", "install", "--quiet", *REQUIREMENTS]
    programs.run(command, timeout=INSTALL_SECONDS)
