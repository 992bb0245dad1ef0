"""The Prometheus operator's own schemas accept what the manifests give it, and find what it would drop or refuse."""

import json
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.kubernetes.manifests import Document, manifests
from tests.patience import PATIENCE_SECONDS
from tests.stack import programs
from tests.stack.kept import kept

PACKAGE = "@kubernetes-models/prometheus-operator@6.0.0"
SCRIPT = Path(__file__).parent / "validate_resources.mjs"
KINDS = ("PodMonitor", "PrometheusRule")


def install(npm: str, folder: Path) -> None:
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    programs.run([npm, "install", *options, PACKAGE], timeout=programs.FETCH_SECONDS, folder=folder)


@pytest.fixture(scope="module")
def faults_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[list[Document]], list[str]]:
    """Return a function that says what the schemas do not accept; skip without Node.js, npm or its registry."""
    node, npm = programs.need("node"), programs.need("npm")
    folder = tmp_path_factory.mktemp("operator")
    (folder / "node_modules").symlink_to(kept("operator-schemas", PACKAGE, partial(install, npm)) / "node_modules")
    shutil.copy(SCRIPT, folder)

    def validate(documents: list[Document]) -> list[str]:
        done = subprocess.run(
            [node, SCRIPT.name],
            cwd=folder,
            input=json.dumps(documents),
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)  # type: ignore[no-any-return]  # JSON

    return validate


def resources() -> list[Document]:
    found = manifests("prod")
    return [each for kind in KINDS for each in found.of(kind)]


def misspell(documents: list[Document]) -> None:
    endpoint = documents[0]["spec"]["podMetricsEndpoints"][0]
    endpoint["scrapeInterval"] = endpoint.pop("interval")


def misspell_in_a_rule(documents: list[Document]) -> None:
    rule = documents[1]["spec"]["groups"][0]["rules"][0]
    rule["expression"] = rule["expr"]


def give_no_unit(documents: list[Document]) -> None:
    documents[0]["spec"]["podMetricsEndpoints"][0]["interval"] = "5"


def leave_out(documents: list[Document]) -> None:
    del documents[0]["spec"]["selector"]


def test_manifests_are_valid(faults_of: Callable[[list[Document]], list[str]]) -> None:
    documents = resources()
    assert {each["kind"] for each in documents} == set(KINDS)
    assert faults_of(documents) == []


@pytest.mark.parametrize("mistake", [misspell, misspell_in_a_rule, give_no_unit, leave_out])
def test_mistake_is_found(
    mistake: Callable[[list[Document]], None], faults_of: Callable[[list[Document]], list[str]]
) -> None:
    documents = resources()
    mistake(documents)
    assert len(faults_of(documents)) == 1
