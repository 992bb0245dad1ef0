"""What the runbooks name beside metrics and panels: services, settings, reasons, log events and processes."""

import re
from functools import cache

import yaml
from pydantic_settings import BaseSettings

from services.inventory.settings import InventorySettings
from services.local.platform.plan import MODULES
from services.notification.settings import NotificationSettings
from services.order.settings import OrderSettings
from tests.each import for_each
from tests.runbooks import ROOT, Runbook, runbooks

SERVICES = frozenset(yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"])
# Commands of docker compose whose arguments are services, and those whose first argument is one.
ALL_SERVICES = {"ps", "logs", "restart", "start", "stop", "up", "kill"}
FIRST_SERVICE = {"exec", "run"}
COMPOSE = re.compile(r"docker compose (\w+)((?: (?!#)[^\s|>)&;'\"`]+)*)")
# Logs of programs that are no process of ours.
LOGS = {*MODULES, "postgres", "nats-server", "valkey-server", "prometheus", "*"}
CAPITALS = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")
# What other programs are told by; all other capitals are settings and reasons of this repository.
FOREIGN_CAPITALS = {"REDISCLI_AUTH"}
PREFIXES: dict[str, type[BaseSettings]] = {
    "ORDER_": OrderSettings,
    "INVENTORY_": InventorySettings,
    "NOTIFICATION_": NotificationSettings,
}
EVENT = re.compile(r"\b(?:order|inventory|notification|edge|rpc|worker|messaging|process|telemetry)\.[a-z_]+\b")
# The name of a span, and the beginning of three events.
NO_EVENTS = {"order.finish_order", "process.drain"}
each_runbook = for_each(runbooks(), name=lambda book: book.alert)


@cache
def source() -> str:
    """Return the code that logs, reads settings and states reasons, and what configures it."""
    folders = ("services", "observability", "compose")
    files = [
        path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in {".py", ".yaml", ".conf"}
    ]
    return "\n".join(path.read_text(encoding="utf-8") for path in [*files, ROOT / "docker-compose.yml"])


@each_runbook
def test_a_service_of_docker_compose_exists(book: Runbook) -> None:
    for command, arguments in COMPOSE.findall(book.code()):
        words = [word for word in arguments.split() if not word.startswith("-")]
        named = words if command in ALL_SERVICES else words[:1]
        assert command in ALL_SERVICES | FIRST_SERVICE
        assert set(named) <= SERVICES, command


@each_runbook
def test_a_setting_or_a_reason_exists(book: Runbook) -> None:
    for name in set(CAPITALS.findall(book.code())) - FOREIGN_CAPITALS:
        prefix = next((prefix for prefix in PREFIXES if name.startswith(prefix)), None)
        if prefix:
            assert name.removeprefix(prefix).lower() in PREFIXES[prefix].model_fields, name
        else:
            assert re.search(rf"\b{name}\b", source()), name


@each_runbook
def test_a_log_event_exists(book: Runbook) -> None:
    """By its whole name, or where the context is put in front of it."""
    for event in set(EVENT.findall(book.code())) - NO_EVENTS:
        assert re.search(rf'"{event}"|}}\.{event.partition(".")[2]}"', source()), event


@each_runbook
def test_a_log_file_is_that_of_a_process(book: Runbook) -> None:
    assert set(re.findall(r"out/up/8400/logs/([\w*-]+)\.log", book.text)) <= LOGS


def test_the_checks_find_faults() -> None:
    """They would pass on runbooks that name nothing."""
    text = "\n".join(book.code() for book in runbooks())
    assert {"order", "nats", "plumb"} <= {word for _, words in COMPOSE.findall(text) for word in words.split()}
    assert {"worker.step_failed", "edge.bug_found"} <= set(EVENT.findall(text))
    assert {"ORDER_DATABASE_POOL_SIZE", "CIRCUIT_OPEN"} <= set(CAPITALS.findall(text))
