"""Checks of docker-compose.yml: limits, privileges, loopback addresses, pinned images, no secrets."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.infra.lifecycle import LAST_LINE_SECONDS
from services.infra.settings import RunnableSettings
from services.local.servers.postgres import SETTINGS
from tests.patience import PATIENCE_SECONDS
from tests.stack.programs import ROOT, compose, run

TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
FILE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
LIMIT_MEBIBYTES = 2048
UNITS = {"m": 1, "MiB": 1}
# They end by themselves: their restart is a start of the whole.
ONE_SHOT = {"migrate", "databases", "load", "plumb"}
# The services wait for the end of these; the others of ONE_SHOT are started when the services run.
BEFORE_THE_SERVICES = {"migrate", "databases"}
OURS = {"order", "inventory", "notification"}

each_service = pytest.mark.parametrize("name", SERVICES)


def mebibytes(text: str) -> int:
    number, unit = re.fullmatch(r"(\d+)(m|MiB)", text).groups()  # type: ignore[union-attr]  # a wrong text is a failure
    return int(number) * UNITS[unit]


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


def test_the_real_compose_finds_it_valid() -> None:
    assert (
        "order"
        in run([compose(), "--profile", "load", "config", "--services"], timeout=PATIENCE_SECONDS, folder=ROOT).split()
    )


def test_the_replica_is_started_with_its_profile_alone() -> None:
    without = run([compose(), "config", "--services"], timeout=PATIENCE_SECONDS, folder=ROOT).split()
    with_it = run(
        [compose(), "--profile", "replica", "config", "--services"], timeout=PATIENCE_SECONDS, folder=ROOT
    ).split()
    assert set(with_it) - set(without) == {"postgres-replica"}


@pytest.mark.parametrize("absent", [BEFORE_THE_SERVICES, ONE_SHOT - BEFORE_THE_SERVICES], ids=["running", "starting"])
def test_memory_limits_add_up_to_less_than_two_gibibytes(absent: set[str]) -> None:
    """The replica comes on top, for users who ask for it."""
    together = SERVICES.keys() - absent - {"postgres-replica"}
    assert sum(mebibytes(SERVICES[name]["mem_limit"]) for name in together) <= LIMIT_MEBIBYTES


def test_the_services_wait_for_what_runs_before_them() -> None:
    for name in OURS:
        assert SERVICES[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert SERVICES["migrate"]["depends_on"]["databases"] == {"condition": "service_completed_successfully"}


@each_service
def test_services_are_unprivileged_and_read_only(name: str) -> None:
    service = SERVICES[name]
    assert int(service["user"].partition(":")[0]) > 0
    assert (service["read_only"], service["cap_drop"], service.get("privileged")) == (True, ["ALL"], None)
    assert service["security_opt"] == ["no-new-privileges:true"]


@each_service
def test_services_have_an_init_and_limits_of_logs_and_processes(name: str) -> None:
    service = SERVICES[name]
    assert service["init"] is True
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}
    assert service["pids_limit"] <= 200


@each_service
def test_a_port_is_published_on_the_loopback_alone(name: str) -> None:
    ports = SERVICES[name].get("ports", [])
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


@each_service
def test_an_image_has_a_version_and_a_source(name: str) -> None:
    image = SERVICES[name]["image"]
    tag = image.rpartition(":")[2]
    assert re.search(r"\d+\.\d+", tag)
    first = TEXT.index(f"image: {image}")
    assert "# https://github.com/" in TEXT[:first].splitlines()[-2] + TEXT[:first].splitlines()[-3]


@each_service
def test_a_command_is_written_out(name: str) -> None:
    service = SERVICES[name]
    assert service["command"]
    assert "build" in service or service["entrypoint"]


@each_service
def test_go_memory_limits_are_below_container_limits(name: str) -> None:
    environment = SERVICES[name].get("environment", {})
    if "GOMEMLIMIT" in environment:
        limit = mebibytes(SERVICES[name]["mem_limit"])
        assert 0.7 * limit < mebibytes(environment["GOMEMLIMIT"]) < 0.9 * limit


def test_each_program_in_go_knows_its_limit() -> None:
    without = {name for name, service in SERVICES.items() if "GOMEMLIMIT" not in service.get("environment", {})}
    assert without == {*OURS, *ONE_SHOT, "postgres", "postgres-replica", "valkey", "alert-webhook"}


@each_service
def test_no_secret_is_in_the_environment(name: str) -> None:
    telling = re.compile("password|secret|token|dsn", re.IGNORECASE)
    values = {key: str(value) for key, value in SERVICES[name].get("environment", {}).items() if telling.search(key)}
    assert [key for key, value in values.items() if "/run/secrets/" not in value] == []


def test_postgresql_logs_no_value_of_a_statement() -> None:
    """It has the settings of the embedded server, which tests/integration/local shows to log no values."""
    (command,) = SERVICES["postgres"]["command"]
    told = dict(re.findall(r"--(log_\w+)=(\S+)", command))
    quiet = ("log_parameter_max_length", "log_parameter_max_length_on_error", "log_error_verbosity")
    assert {name: told.get(name) for name in quiet} == {name: SETTINGS[name] for name in quiet}


# Stand-ins that record their calls. A copy that is to be cut off ends the shell, as a container that is killed ends.
PROGRAMS = {
    "psql": 'echo "psql $*" >>"$CALLS"',
    "pg_basebackup": 'echo copy >>"$CALLS"; mkdir copy; echo 17 >copy/PG_VERSION; [ ! -e cut_off ] || kill -9 $PPID',
    "postgres": 'echo "postgres $1 $2" >>"$CALLS"',
}


def test_a_replica_whose_copy_was_cut_off_copies_again(tmp_path: Path) -> None:
    """And drops the slot that the first attempt has made, which a second one would find in its way."""
    (command,) = SERVICES["postgres-replica"]["command"]
    for path, place in (("/var/lib/postgresql/data", "data"), ("/run/secrets", "secrets")):
        (tmp_path / place).mkdir()
        command = command.replace(path, str(tmp_path / place))
    (tmp_path / "secrets/postgres_password").write_text("secret")
    for name, script in PROGRAMS.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o700)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CALLS": str(tmp_path / "calls")}
    (tmp_path / "data/cut_off").touch()
    for _ in range(3):
        subprocess.run(
            ["/bin/sh", "-ec", command.replace("$$", "$")], env=environment, timeout=PATIENCE_SECONDS, check=False
        )
        (tmp_path / "data/cut_off").unlink(missing_ok=True)
    calls = (tmp_path / "calls").read_text()
    assert re.findall("^[a-z]+", calls, re.MULTILINE) == ["psql", "copy", "psql", "copy", "postgres", "postgres"]
    assert calls.count("pg_drop_replication_slot") == 2
    assert "secret" not in calls


@each_service
def test_no_service_mounts_the_docker_socket(name: str) -> None:
    assert "docker.sock" not in str(SERVICES[name].get("volumes", []))


@each_service
def test_a_file_that_is_mounted_exists_and_cannot_be_written(name: str) -> None:
    """And has a label that a container may read it by, where SELinux asks for one."""
    mounts = [mount.split(":") for mount in SERVICES[name].get("volumes", []) if mount.startswith("./")]
    assert [mount for mount in mounts if not (ROOT / mount[0]).exists() or mount[-1] != "ro,z"] == []


def test_mounted_files_are_readable_in_a_private_checkout(tmp_path: Path) -> None:
    """As with umask 077: the users inside of the containers are others."""
    mounted = [
        Path(mount.partition(":")[0])
        for service in SERVICES.values()
        for mount in service.get("volumes", [])
        if mount.startswith("./")
    ]
    for path in (*mounted, Path("compose/secrets.sh")):
        copy = tmp_path / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / path).is_dir():
            shutil.copytree(ROOT / path, copy, dirs_exist_ok=True)
        else:
            shutil.copy(ROOT / path, copy)
    for path in tmp_path.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    subprocess.run(["sh", tmp_path / "compose/secrets.sh"], env={"PATH": "/usr/bin:/bin"}, check=True)
    for path in mounted:
        for each in (tmp_path / path, *(tmp_path / path).rglob("*")):
            assert each.stat().st_mode & (0o005 if each.is_dir() else 0o004), each


def test_a_viewer_may_follow_an_exemplar_to_its_trace() -> None:
    """By Explore, which needs an Editor since Grafana 12; a provisioned dashboard cannot be changed all the same."""
    grafana = SERVICES["grafana"]
    assert int(grafana["image"].rpartition(":")[2].split(".")[0]) >= 12
    assert grafana["environment"]["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Editor"
    provisioned = yaml.safe_load((ROOT / "grafana/provisioning/dashboards/dashboards.yml").read_text(encoding="utf-8"))
    assert [provider["allowUiUpdates"] for provider in provisioned["providers"]] == [False]
    assert [port for port in grafana["ports"] if not port.startswith("127.0.0.1:")] == []


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_service_is_given_longer_to_stop_than_it_needs(name: str) -> None:
    limit_seconds = RunnableSettings.model_fields["drain_limit_seconds"].default
    assert seconds(SERVICES[name]["stop_grace_period"]) > limit_seconds + LAST_LINE_SECONDS


def test_services_have_a_health_check_where_their_image_can() -> None:
    without = {name for name, service in SERVICES.items() if "healthcheck" not in service}
    assert without == {*ONE_SHOT, "otel-collector", "loki"}


def test_plumb_uses_the_databases_and_log_of_the_services(tmp_path: Path) -> None:
    """The addresses of compose/plumb.py beside those in the commands of the services."""
    names = SERVICES["plumb"]["secrets"]
    for name in names:
        (tmp_path / name).write_text(f"{name}-value\n", encoding="utf-8")
    program = (
        "import json, pathlib, sys, plumb; plumb.SECRETS = pathlib.Path(sys.argv[1]); found = plumb.endpoints();"
        "print(json.dumps([*found.databases.values(), found.event_log_url]))"
    )
    more = {"PYTHONPATH": str(ROOT)}
    said = run([sys.executable, "-c", program, tmp_path], timeout=PATIENCE_SECONDS, folder=ROOT / "compose", more=more)
    commands = "\n".join(SERVICES[service]["command"][-1] for service in sorted(OURS))
    commands = commands.replace("$$password", "$$(cat /run/secrets/order_password)")
    addresses = re.findall(r'(?<!REPLICA_DSNS)="((?:postgresql|nats)://[^"]*)"', commands)
    used = {re.sub(r"\$\$\(cat /run/secrets/(\w+)\)", r"\1-value", address) for address in addresses}
    assert set(json.loads(said)) == used


def test_each_secret_is_made_by_the_script(tmp_path: Path) -> None:
    subprocess.run(
        ["sh", ROOT / "compose/secrets.sh"], env={"SECRETS_FOLDER": str(tmp_path), "PATH": "/usr/bin:/bin"}, check=True
    )
    assert {path.name for path in tmp_path.iterdir()} == set(FILE["secrets"])
    assert {len(path.read_text(encoding="utf-8")) for path in tmp_path.iterdir()} == {40}


def test_a_second_run_of_the_script_leaves_secrets_as_they_are(tmp_path: Path) -> None:
    texts = []
    for _ in range(2):
        subprocess.run(
            ["sh", ROOT / "compose/secrets.sh"],
            env={"SECRETS_FOLDER": str(tmp_path), "PATH": "/usr/bin:/bin"},
            check=True,
        )
        texts.append({path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()})
    assert texts[0] == texts[1]


def test_each_variable_is_in_the_example_with_its_default() -> None:
    used = dict(re.findall(r"\$\{([A-Z_]+):-([^}]*)}", TEXT))
    example = dict(re.findall(r"^#([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE))
    # The one whose default is to have none: the example shows what else there is.
    used["COLLECTOR_OVERLAY"] = "config-sampled.yaml"
    assert example == used


def test_the_dockerfile_has_the_same_base(tmp_path: Path) -> None:
    base = re.search(r"\$\{BASE_IMAGE:-([^}]*)}", TEXT)
    assert base
    assert f"ARG BASE_IMAGE={base[1]}\n" in (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_each_target_of_prometheus_is_a_service() -> None:
    text = (ROOT / "observability/prometheus/prometheus.yml").read_text(encoding="utf-8")
    jobs = yaml.safe_load(text)["scrape_configs"]
    targets = {
        target.partition(":")[0] for job in jobs for group in job["static_configs"] for target in group["targets"]
    }
    assert targets - set(SERVICES) == set()
