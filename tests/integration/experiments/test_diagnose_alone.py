"""Checks that `plumb diagnose` runs where Plumbline is installed without its extra `platform`."""

import os
import subprocess
from pathlib import Path

import pytest

from observability.analysis.bottleneck import Bottleneck
from tests.recorded.recordings import unpack

REPOSITORY = Path(__file__).parents[3]
UV = sorted(REPOSITORY.glob(".uv/*/uv"))


@pytest.mark.full
@pytest.mark.skipif(not UV, reason="there is no uv in .uv, which `make` fetches: nothing can be installed")
def test_only_the_platform_needs_the_extra(tmp_path: Path) -> None:
    environment = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(tmp_path / "environment")}
    sync = [str(UV[-1]), "sync", "--quiet", "--locked", "--no-dev"]
    subprocess.run(sync, cwd=REPOSITORY, env=environment, check=True, timeout=600)
    plumb = str(tmp_path / "environment" / "bin" / "plumb")

    page = tmp_path / "page.html"
    found = run(plumb, "diagnose", str(unpack("n_plus_one", tmp_path)), "--html", str(page))
    assert (found.returncode, found.stderr) == (1, "")
    assert found.stdout.startswith(Bottleneck.N_PLUS_ONE)
    assert page.exists()

    missing = run(plumb, "demo")
    assert missing.returncode == 1
    assert missing.stderr.startswith("plumb: demo needs ")
    assert missing.stderr.endswith("which is not installed: install plumbline[platform].\n")


def run(*command: str) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end and return what it printed."""
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)
