"""The architecture's rules are enforced: the real linters refuse a copy of the tree in which each is broken."""

import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.patience import PATIENCE_SECONDS

ROOT = Path(__file__).parents[2]
TOOLS = Path(sys.executable).parent

# A package, what it must not import, and the contract that forbids it.
IMPORTS = (
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
    ("services.order", "observability.load", "services-know-telemetry"),
    ("services.infra", "services.order.api", "services"),
    ("services.local", "observability.testbed", "services-know-telemetry"),
    ("observability.telemetry", "services.kernel", "telemetry-knows-no-shop"),
)
BAD_NAMES = ("utils", "common", "helpers", "manager", "order_utils")
NAMED = "services/order/application/commands"
LAYERED = {
    "services": "services",
    "services/order": "contexts",
    "services/infra": "infra",
    "observability/telemetry": "telemetry",
}
# A report's lines are as long as what they say.
COLUMNS = "500"


@pytest.fixture(scope="module")
def clean_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of our packages and of the linters' configuration."""
    return copy_to(tmp_path_factory.mktemp("clean"))


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> "subprocess.CompletedProcess[str]":
    """Return what import-linter says of a copy in which every rule below is broken at once."""
    tree = copy_to(tmp_path_factory.mktemp("broken"))
    for package, imported, _ in IMPORTS:
        plant(tree, package, f"import {imported}\n")
    for module in (*(f"{NAMED}/{name}.py" for name in BAD_NAMES), *(f"{folder}/newcomer.py" for folder in LAYERED)):
        (tree / module).write_text('"""A module that breaks a rule."""\n')
    return lint_imports(tree)


def test_clean_tree_keeps_every_contract(clean_tree: Path) -> None:
    result = lint_imports(clean_tree)
    assert result.returncode == 0, result.stdout + result.stderr


def test_clean_tree_has_no_folder_without_init(clean_tree: Path) -> None:
    result = run(clean_tree, "ruff", "check", "--no-cache", "--select", "INP001")
    assert result.returncode == 0, result.stdout


def test_broken_tree_fails_the_lint(broken: "subprocess.CompletedProcess[str]") -> None:
    assert broken.returncode == 1, broken.stdout + broken.stderr


@pytest.mark.parametrize(("package", "imported", "contract"), IMPORTS)
def test_forbidden_import_is_refused(
    broken: "subprocess.CompletedProcess[str]", package: str, imported: str, contract: str
) -> None:
    assert f"{package} -> {imported} (l." in complaints(broken, contract), broken.stdout + broken.stderr


@pytest.mark.parametrize("name", BAD_NAMES)
def test_module_named_by_nothing_is_refused(broken: "subprocess.CompletedProcess[str]", name: str) -> None:
    complaint = f"{NAMED.replace('/', '.')}.{name}: "
    assert complaint in complaints(broken, "module-names"), broken.stdout + broken.stderr


@pytest.mark.parametrize(("folder", "contract"), LAYERED.items())
def test_module_without_a_place_in_the_layers_is_refused(
    broken: "subprocess.CompletedProcess[str]", folder: str, contract: str
) -> None:
    complaint = f"- {folder.replace('/', '.')}.newcomer\n"
    assert complaint in complaints(broken, contract), broken.stdout + broken.stderr


def test_folder_without_init_is_refused(tmp_path: Path) -> None:
    tree = copy_to(tmp_path)
    folder = tree / "services/order/application/sagas"
    folder.mkdir()
    (folder / "place_order.py").write_text('"""A module that import-linter does not see."""\n')
    result = run(tree, "ruff", "check", "--no-cache")
    assert "INP001" in result.stdout, result.stdout
    assert result.returncode != 0


def copy_to(folder: Path) -> Path:
    """Copy our packages and the linters' configuration, to be broken."""
    for package in ("services", "observability", "tests"):
        ignored = shutil.ignore_patterns("__pycache__", "*.tar.xz")
        shutil.copytree(ROOT / package, folder / package, ignore=ignored)
    for configuration in (".importlinter", "ruff.toml"):
        shutil.copy(ROOT / configuration, folder)
    return folder


def plant(tree: Path, package: str, line: str) -> None:
    """Append a line to the package's own module."""
    module = tree / package.replace(".", "/") / "__init__.py"
    module.write_text(module.read_text() + line)


def complaints(result: "subprocess.CompletedProcess[str]", contract: str) -> str:
    """Return what a report says of one broken contract: the part under its name, up to the next contract's."""
    configuration = ConfigParser(delimiters="=")
    configuration.read(ROOT / ".importlinter")
    names = {configuration[section]["name"] for section in configuration.sections()[1:]}
    lines = result.stdout.partition("Broken contracts\n")[2].splitlines()
    starts = [number for number, line in enumerate(lines) if line in names] + [len(lines)]
    name = configuration[f"importlinter:contract:{contract}"]["name"]
    (start,) = (number for number in starts[:-1] if lines[number] == name)
    return "\n".join(lines[start : starts[starts.index(start) + 1]])


def lint_imports(tree: Path) -> "subprocess.CompletedProcess[str]":
    """Run import-linter on the tree."""
    return run(tree, "lint-imports", "--no-cache", "--no-logo")


def run(tree: Path, tool: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a tool of this environment in the tree, which comes before the real one on its path."""
    command = [str(TOOLS / tool), *arguments]
    return subprocess.run(
        command,
        cwd=tree,
        env={"PYTHONPATH": str(tree), "COLUMNS": COLUMNS},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
