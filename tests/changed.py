"""Unit tests of what changed since main: python -m tests.changed prints the files that import a changed module."""

import subprocess
from collections.abc import Iterable
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
MAIN = ("origin/main", "main")
PACKAGES = ("services", "observability", "grafana", "tests")
# That of import-linter, which `make check` runs before.
CACHE = ROOT / ".import_linter_cache"


def changed_files(root: Path) -> set[str]:
    """Return the files that differ from where the branch left main, those that git does not know yet included."""
    base = next((base for name in MAIN if (base := git(root, "merge-base", "HEAD", name, check=False))), ["HEAD"])
    return {*git(root, "diff", "--name-only", *base), *git(root, "ls-files", "--others", "--exclude-standard")}


def git(root: Path, *arguments: str, check: bool = True) -> list[str]:
    """Return the lines that git prints; none if it may fail and does."""
    ran = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=check)
    return ran.stdout.splitlines()


def unit_tests_of(paths: Iterable[str], graph: grimp.ImportGraph) -> set[str]:
    """Return the files of unit tests that changed or import a changed module, directly or through a helper of tests."""
    pending = [name for path in paths if path.endswith(".py") and (name := module_of(path)) in graph.modules]
    found: set[str] = set()
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            importers = graph.find_modules_that_directly_import(name)
            pending += [each for each in importers if each.startswith("tests.")]
    return {f"{name.replace('.', '/')}.py" for name in found if is_unit_test(name)}


def module_of(path: str) -> str:
    """Return the name of the module in a file."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def is_unit_test(name: str) -> bool:
    """Tell whether a module holds unit tests."""
    return name.startswith("tests.unit.") and name.rpartition(".")[2].startswith("test_")


if __name__ == "__main__":
    imports = grimp.build_graph(*PACKAGES, include_external_packages=True, cache_dir=str(CACHE))
    print(*sorted(unit_tests_of(changed_files(ROOT), imports)))  # noqa: T201
