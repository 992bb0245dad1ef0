"""`make check` runs the unit tests that import what changed since main."""

import subprocess
from pathlib import Path

import grimp

from tests.changed import changed_files, unit_tests_of


def test_changed_files_are_those_since_the_branch_left_main(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init", "--initial-branch=main")
    git("config", "user.name", "Somebody")
    git("config", "user.email", "somebody@example.com")
    for name in ("same", "committed", "edited"):
        (tmp_path / name).write_text("before")
    git("add", ".")
    git("commit", "--message=Begin")
    assert changed_files(tmp_path) == set()
    git("switch", "--create", "branch")
    (tmp_path / "committed").write_text("after")
    git("commit", "--all", "--message=Change")
    (tmp_path / "edited").write_text("after")
    (tmp_path / "new").write_text("after")
    assert changed_files(tmp_path) == {"committed", "edited", "new"}


def test_unit_tests_are_found_by_their_imports() -> None:
    graph = grimp.ImportGraph()
    for importer, imported in (
        ("tests.unit.order.test_money", "services.kernel.money"),
        ("services.order.api", "services.kernel.money"),
        ("tests.unit.order.test_api", "services.order.api"),
        ("tests.unit.order.baskets", "services.kernel.money"),
        ("tests.unit.order.test_baskets", "tests.unit.order.baskets"),
        ("tests.e2e.test_orders", "services.kernel.money"),
    ):
        graph.add_import(importer=importer, imported=imported)
    assert unit_tests_of(["services/kernel/money.py", "README.md"], graph) == {
        "tests/unit/order/test_money.py",
        "tests/unit/order/test_baskets.py",
    }
    assert unit_tests_of(["tests/unit/order/test_api.py", "services/gone.py"], graph) == {
        "tests/unit/order/test_api.py"
    }
