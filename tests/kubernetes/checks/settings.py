"""Checks that programs accept the environments of their containers, and that these match docker compose."""

import os
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any
from unittest.mock import patch

import yaml

from observability.telemetry.environment import settle
from services.infra.settings import BadSettings, RunnableSettings, read_settings
from services.inventory.settings import InventorySettings
from services.notification.settings import NotificationSettings
from services.order.settings import OrderContextSettings, OrderSettings
from tests.kubernetes.manifests import ROOT, Manifests, Workload

KINDS: dict[str, type[RunnableSettings]] = {
    "order": OrderSettings,
    "inventory": InventorySettings,
    "notification": NotificationSettings,
}
# Settings of the migrations that the Job `migrate` runs, in this order.
MIGRATED = (InventorySettings, OrderContextSettings, NotificationSettings)
SETTING = re.compile(r"\b((?:ORDER|INVENTORY|NOTIFICATION)_[A-Z_]+)(?==|: )")
# Compose has a profile with replicas, and a shared volume of logs, which a cluster collects from standard output.
ONLY_IN_COMPOSE = {
    *("ORDER_REPLICA_DSNS", "ORDER_READ_REPLICA_DSNS", "INVENTORY_REPLICA_DSNS", "REPLICA_HOST"),
    "LOG_FOLDER",
}
# In compose the servers behind a name do not change, and traces are always exported.
ONLY_IN_KUBERNETES = {
    *("ORDER_GRPC_CONNECTION_AGE_SECONDS", "INVENTORY_GRPC_CONNECTION_AGE_SECONDS"),
    "OTEL_TRACES_EXPORTER",
}


def settings_of(manifests: Manifests, name: str) -> RunnableSettings:
    """Return the settings that a process reads in its container. Raises BadSettings."""
    return read_in(manifests.environment(manifests.workload(name)), KINDS[name])


def read_in(environment: dict[str, str], kind: type[RunnableSettings]) -> RunnableSettings:
    """Return the settings that a process with this environment reads. Raises BadSettings."""
    with patch.dict(os.environ, environment, clear=True):
        return read_settings(kind)


def environments_are_accepted(manifests: Manifests) -> Iterator[str]:
    """Read each environment by its settings class, which knows no other variables, and by OpenTelemetry's checks."""
    for workload in ours(manifests):
        environment = manifests.environment(workload)
        for kind in MIGRATED if workload.name == "migrate" else (KINDS[workload.name],):
            try:
                read_in(environment, kind)
            except BadSettings as error:
                yield f"{workload.name}: {error}"
        yield from (f"{workload.name}: {sentence}" for sentence in settle(dict(environment)))


def references_are_resolved(manifests: Manifests) -> Iterator[str]:
    """Check that a variable is used after it is defined, and that what comes from a ConfigMap is there."""
    for workload in manifests.workloads():
        for variable in workload.container.get("env", []):
            if manifests.value(variable) is None:
                yield f"{workload.name}: {variable['name']} has no value: its ConfigMap or key does not exist"
        for name, value in manifests.environment(workload).items():
            if "$(" in value:
                yield f"{workload.name}: {name} uses a name that is not defined before it: {value}"


def settings_are_those_of_compose(manifests: Manifests) -> Iterator[str]:
    """Compare the names of settings; `edges_are_dependencies` compares the addresses."""
    for workload in ours(manifests):
        service = compose_services()[workload.name]
        expected = {*service["environment"], *SETTING.findall(str(service["command"]))} - ONLY_IN_COMPOSE
        used = set(manifests.environment(workload)) - ONLY_IN_KUBERNETES
        used = {name for name in used if not name.endswith("_HOST") and "_PASSWORD" not in name}
        if expected ^ used:
            yield f"{workload.name}: set in only one of docker compose and the manifests: {sorted(expected ^ used)}"


def commands_are_those_of_compose(manifests: Manifests) -> Iterator[str]:
    """Compare the programs of containers with those of docker compose."""
    for workload in ours(manifests):
        expected = re.findall(r"python -m (.+)", compose_services()[workload.name]["command"][-1])
        found = re.findall(r"python -m (.+)", " ".join(workload.container.get("command", [])))
        if found != expected:
            yield f"{workload.name} runs {found}, and not {expected}"


def ports_are_listened_on(manifests: Manifests) -> Iterator[str]:
    """Compare each named port with its setting (http with ORDER_HTTP_LISTEN), which must listen on all addresses."""
    for name in KINDS:
        environment = manifests.environment(manifests.workload(name))
        listened = {
            setting.removeprefix(f"{name.upper()}_")
            .removesuffix("_LISTEN")
            .lower(): f"0.0.0.0:{value.rpartition(':')[2]}"
            for setting, value in environment.items()
            if setting.endswith("_LISTEN") and value.startswith("0.0.0.0:")
        }
        ports = {port: f"0.0.0.0:{number}" for port, number in manifests.workload(name).ports.items()}
        if ports != listened:
            yield f"{name}: its ports are {ports}, and it listens on {listened}"


def folders_are_mounted(manifests: Manifests) -> Iterator[str]:
    """Check that a folder that a process writes to is on a volume: all other files are read-only."""
    for workload in ours(manifests):
        mounts = {PurePosixPath(each["mountPath"]) for each in workload.container.get("volumeMounts", [])}
        for name, value in manifests.environment(workload).items():
            if name.endswith("_FOLDER") and not mounts & {PurePosixPath(value), *PurePosixPath(value).parents}:
                yield f"{workload.name}: {name} is on no volume"


def ours(manifests: Manifests) -> list[Workload]:
    """Return the workloads that run the platform's own image."""
    return [manifests.workload(name) for name in (*KINDS, "migrate")]


def compose_services() -> dict[str, Any]:
    """Return the services of docker-compose.yml."""
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    return yaml.load(text, yaml.CSafeLoader)["services"]  # type: ignore[no-any-return]  # YAML
