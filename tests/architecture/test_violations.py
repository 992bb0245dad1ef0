"""Is each rule of the architecture enforced? A test breaks one in a copy of the tree and runs the real linter on it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PATIENCE_SECONDS

ROOT = Path(__file__).parents[2]
TOOLS = Path(sys.executable).parent


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a copy of our packages and of the linters' configuration, to be broken."""
    for package in ("services", "observability", "tests"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    for configuration in (".importlinter", "ruff.toml"):
        shutil.copy(ROOT / configuration, tmp_path)
    return tmp_path


def test_clean_tree_keeps_every_contract(tree: Path) -> None:
    result = lint_imports(tree)
    assert result.returncode == 0, result.stdout + result.stderr


def test_clean_tree_has_no_folder_without_init(tree: Path) -> None:
    result = run(tree, "ruff", "check", "--no-cache", "--select", "INP001")
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("package", "imported", "contract"),
    [
        ("services.order.domain", "asyncpg", "pure"),
        ("services.inventory.domain", "asyncpg", "pure"),
        ("services.order.application", "services.inventory.domain", "order-knows-inventory"),
        ("services.order.application", "observability.telemetry", "pure"),
        ("services.inventory.application", "services.order.api", "services"),
        ("services.edge", "services.order.adapters", "edge"),
        ("services.edge", "services.inventory.adapters", "edge"),
        ("services.order.rpc", "services.order.adapters", "contexts"),
        ("services.inventory.rpc", "services.inventory.adapters", "contexts"),
        ("services.order.rpc", "services.order.application", "rpc"),
        ("services.order", "observability.lab", "services-know-telemetry"),
        ("services.infra", "services.order.api", "services"),
        ("services.local", "observability.lab", "services-know-telemetry"),
        ("observability.telemetry", "services.kernel", "telemetry-knows-no-shop"),
    ],
)
def test_forbidden_import_is_refused(tree: Path, package: str, imported: str, contract: str) -> None:
    plant(tree, package, f"import {imported}\n")
    result = lint_imports(tree, "--contract", contract)
    assert "BROKEN" in result.stdout, result.stdout + result.stderr
    assert result.returncode != 0


@pytest.mark.parametrize("name", ["utils", "common", "helpers", "manager", "order_utils"])
def test_module_named_by_nothing_is_refused(tree: Path, name: str) -> None:
    (tree / f"services/order/application/commands/{name}.py").write_text('"""What is in here?"""\n')
    result = lint_imports(tree, "--contract", "module-names")
    assert f"services.order.application.commands.{name}" in result.stdout, result.stdout + result.stderr
    assert result.returncode != 0


@pytest.mark.parametrize("folder", ["services", "services/order", "services/infra", "observability/telemetry"])
def test_module_without_a_place_in_the_layers_is_refused(tree: Path, folder: str) -> None:
    (tree / folder / "newcomer.py").write_text('"""Where do I belong?"""\n')
    result = lint_imports(tree)
    assert f"{folder.replace('/', '.')}.newcomer" in result.stdout, result.stdout + result.stderr
    assert result.returncode != 0


def test_folder_without_init_is_refused(tree: Path) -> None:
    folder = tree / "services/order/application/sagas"
    folder.mkdir()
    (folder / "place_order.py").write_text('"""A module that import-linter does not see."""\n')
    result = run(tree, "ruff", "check", "--no-cache")
    assert "INP001" in result.stdout, result.stdout
    assert result.returncode != 0


def plant(tree: Path, package: str, line: str) -> None:
    """Append a line to the package's own module."""
    module = tree / package.replace(".", "/") / "__init__.py"
    module.write_text(module.read_text() + line)


def lint_imports(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the tree."""
    return run(tree, "lint-imports", "--no-cache", "--no-logo", *arguments)


def run(tree: Path, tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a tool of this environment in the tree, which comes before the real one on its path."""
    command = [str(TOOLS / tool), *arguments]
    return subprocess.run(
        command,
        cwd=tree,
        env={"PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
