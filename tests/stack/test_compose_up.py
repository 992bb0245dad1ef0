"""Tests of `docker compose up --build`, with stand-ins for the images that cannot be pulled."""

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
import yaml

from tests.e2e.customers import ANSWER_SECONDS, Answer, Customer
from tests.e2e.stock import fill_shelves
from tests.patience import PATIENCE_SECONDS
from tests.runbooks import runbooks
from tests.stack import programs
from tests.stack.conftest import Measured
from tests.stack.engine import Engine, engine
from tests.stack.jaeger import Jaeger
from tests.stack.processes import HOST, eventually, free_port, get
from tests.stack.stand_ins import ABSENT, PYTHON, make_stand_ins

PROJECT = "plumbline-stack-test"
ROOT = programs.ROOT
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))[
    "services"
]
ONE_SHOT = {"migrate", "databases"}
RUNNING = sorted(set(SERVICES) - ABSENT - ONE_SHOT - {"load", "plumb"})
ORDER_KEY = "3f0b8a55-7f0c-4f7d-9b0a-6f9d1d0c2a11"
PORTS = ("EDGE_PORT", "INVENTORY_PORT", "JAEGER_PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT", "GRAFANA_PORT")


@dataclass(frozen=True, slots=True)
class Stack:
    """What was brought up, and how to ask it."""

    engine: Engine
    ports: dict[str, int]
    environment: dict[str, str]
    placed: list[Answer] = field(default_factory=list)

    def compose(self, *arguments: str) -> str:
        command: list[str | Path] = [programs.compose(), "--project-name", PROJECT, "--project-directory", ROOT]
        return self.engine.run(*command, "--file", ROOT / "docker-compose.yml", *arguments, more=self.environment)

    def containers(self) -> dict[str, dict[str, Any]]:
        """Return what compose says of each service's container."""
        lines = self.compose("ps", "--all", "--format", "json").splitlines()
        return {container["Service"]: container for container in map(json.loads, lines)}

    def prometheus(self, query: str) -> list[dict[str, Any]]:
        answer = json.loads(get(f"http://{HOST}:{self.ports['PROMETHEUS_PORT']}/api/v1/query?query={query}"))
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def resident_mebibytes(self, service: str) -> float:
        """Return the resident memory of a container's processes; pages that they share count once."""
        identity = self.containers()[service]["ID"]
        first = psutil.Process(int(self.engine.run("docker", "inspect", "--format", "{{.State.Pid}}", identity)))
        return sum(process.memory_full_info().pss for process in (first, *first.children(recursive=True))) / 2**20


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, measured: Measured) -> Iterator[Stack]:
    """Bring everything up; at the end it must go down and leave no container, network, volume or firewall rule."""
    folder = tmp_path_factory.mktemp("images")
    secrets = tmp_path_factory.mktemp("secrets")
    programs.run(["sh", ROOT / "compose/secrets.sh"], timeout=PATIENCE_SECONDS, more={"SECRETS_FOLDER": str(secrets)})
    with engine() as running:
        names = make_stand_ins(running, SERVICES, folder)
        measured(f"stand-ins, never pulled: {', '.join(names)}; {PYTHON} for the base image of the platform")
        measured(f"no stand-in, not run: {', '.join(sorted(SERVICES[name]['image'] for name in ABSENT))}")
        ports = {name: free_port() for name in PORTS}
        environment = {
            **{name: str(port) for name, port in ports.items()},
            "BASE_IMAGE": PYTHON,
            "SECRETS_FOLDER": str(secrets),
            "LOG_LEVEL": "info",
            "LOAD_RATE": "5",
            "LOAD_SECONDS": "5",
        }
        stack = Stack(running, ports, environment)
        try:
            with explained(stack):
                stack.compose("up", "--build", "--detach", *RUNNING)
            yield stack
        finally:
            stack.compose("--profile", "*", "down", "--volumes", "--timeout", "30")
        assert running.run("docker", "ps", "--all", "--quiet") == ""
        assert running.run("docker", "volume", "ls", "--quiet") == ""
        assert PROJECT not in running.run("docker", "network", "ls", "--format", "{{.Name}}")


@pytest.fixture(scope="module")
def healthy(stack: Stack) -> Stack:
    """As soon as each service with a health check says that it is well."""

    def well() -> bool:
        states = stack.containers()
        checked = [name for name in RUNNING if "healthcheck" in SERVICES[name]]
        return all(states.get(name, {}).get("Health") == "healthy" for name in checked)

    with explained(stack):
        eventually(well, what="all are healthy")
    return stack


@contextmanager
def explained(stack: Stack) -> Iterator[None]:
    """Add to a failure what the containers said last."""
    try:
        yield
    except AssertionError as error:
        error.add_note(stack.compose("ps", "--all") + stack.compose("logs", "--no-color", "--tail", "8"))
        raise


async def placed(stack: Stack) -> Answer:
    """Place the one order of this module, by the same key until it is confirmed: a busy machine may be too late."""
    if not stack.placed:
        await fill_shelves(f"{HOST}:{stack.ports['INVENTORY_PORT']}")
        async with (
            asyncio.timeout(PATIENCE_SECONDS),
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS)) as session,
        ):
            customer = Customer(session, f"{HOST}:{stack.ports['EDGE_PORT']}")
            while (answer := await customer.place(key=ORDER_KEY)).status != HTTPStatus.CREATED:
                await asyncio.sleep(1)
            stack.placed.append(answer)
    return stack.placed[0]


def test_each_service_runs_and_the_one_shot_ones_ended_well(healthy: Stack) -> None:
    states = healthy.containers()
    assert {name for name, state in states.items() if state["State"] == "running"} == set(RUNNING)
    assert {name: states[name]["ExitCode"] for name in ONE_SHOT} == dict.fromkeys(ONE_SHOT, 0)


async def test_an_order_is_placed_through_it(healthy: Stack) -> None:
    assert (await placed(healthy)).status == 201


async def test_its_trace_is_found_in_jaeger(healthy: Stack) -> None:
    order_id = (await placed(healthy)).body["order_id"]
    search = Jaeger(f"{HOST}:{healthy.ports['JAEGER_PORT']}")
    tags = json.dumps({"shop.order.id": order_id})

    def services() -> set[str]:
        found = search.search("order", tags=tags)
        return {service for trace_id in found for service, _ in search.trace(trace_id)}

    eventually(lambda: {"order", "inventory"} <= services(), what="the order's trace")


async def test_a_confirmation_is_sent_through_nats(healthy: Stack) -> None:
    await placed(healthy)
    look = ("exec", "-T", "notification", "ls", "/var/lib/shop/notifications")
    eventually(lambda: healthy.compose(*look).split(), what="a confirmation")


async def test_an_operator_asks_and_mends_it_by_plumb(healthy: Stack) -> None:
    """As the runbooks say: what holds under load, what is parked, and a list of orders that is built anew."""
    await placed(healthy)
    by_hand = ("run", "--rm", "plumb")
    assert "I8" in healthy.compose(*by_hand, "verify", "--wait", "0")
    assert healthy.compose(*by_hand, "deadletters", "list").strip() == "no dead letters"
    assert "saga_worker: 0 due again, 0 left" in healthy.compose(*by_hand, "deadletters", "replay")
    assert "orders in the list before" in healthy.compose(*by_hand, "projection", "rebuild")


def test_an_operator_opens_a_session_of_psql_as_the_runbooks_say(healthy: Stack) -> None:
    login = next(text for book in runbooks() for text in book.pasted("sh") if "psql " in text).splitlines()[1]
    _, quoted, _ = login.split("'")
    assert healthy.compose("exec", "-T", "postgres", "sh", "-c", f"{quoted} -Atc 'SELECT 1'").strip() == "1"


def test_prometheus_reaches_each_target_that_runs(healthy: Stack) -> None:
    def down() -> set[str]:
        jobs = {found["metric"]["job"]: float(found["value"][1]) for found in healthy.prometheus("up")}
        return {job for job, up in jobs.items() if not up and job not in ABSENT} if jobs else {"none yet"}

    eventually(lambda: not down(), what="all targets are up")


def test_postgres_answers_the_queries_of_the_dashboards(healthy: Stack) -> None:
    """The exporter serves the metrics of our own queries."""
    for query in ("postgres_connections_sessions", "postgres_statements_calls_total"):
        eventually(lambda query=query: healthy.prometheus(query), what=f"{query} has data")  # type: ignore[misc]  # mypy infers no lambda with a default


def test_an_alert_reaches_the_webhook(healthy: Stack) -> None:
    """The one that always fires."""
    eventually(
        lambda: "ShopWatchdog" in healthy.compose("logs", "--no-log-prefix", "alert-webhook"),
        what="the watchdog is told",
    )


def test_the_collector_reads_the_logs_of_each_service(healthy: Stack) -> None:
    query = "otelcol_receiver_accepted_log_records_total+or+otelcol_receiver_accepted_log_records"
    eventually(lambda: healthy.prometheus(query), what="log records are counted")


def test_the_load_of_its_profile_finds_the_platform(healthy: Stack) -> None:
    """It sells orders. A busy machine may be unable to pace it, status 3, or may reject some of them, status 4."""
    healthy.compose("--profile", "load", "up", "--detach", "--no-build", "load")
    ended = eventually(lambda: _exited(healthy.containers()["load"]), what="the load ends")
    with explained(healthy):
        assert ended in {"0", "3", "4"}
        assert re.search(r"\bsold\W+[1-9]", healthy.compose("logs", "--no-log-prefix", "load"))


def _exited(container: dict[str, Any]) -> str | None:
    return str(container["ExitCode"]) if container["State"] == "exited" else None


def test_the_engine_shows_no_password(healthy: Stack) -> None:
    secrets = {path.read_text(encoding="utf-8") for path in Path(healthy.environment["SECRETS_FOLDER"]).iterdir()}
    identities = [state["ID"] for state in healthy.containers().values()]
    told = healthy.engine.run("docker", "inspect", *identities)
    assert [secret for secret in secrets if secret in told] == []


def test_each_process_stays_below_its_limit(healthy: Stack, measured: Measured) -> None:
    used = {name: healthy.resident_mebibytes(name) for name in RUNNING}
    limits = {name: int(SERVICES[name]["mem_limit"].removesuffix("m")) for name in RUNNING}
    for name in RUNNING:
        measured(f"memory of {name:18} {used[name]:6.0f} MiB resident, limit {limits[name]:4} MiB")
    measured(
        f"memory of {'all that run':18} {sum(used.values()):6.0f} MiB resident, limit {sum(limits.values()):4} MiB"
    )
    assert [name for name in RUNNING if used[name] > limits[name]] == []
