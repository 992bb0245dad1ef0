"""Tests of the readability checks of `make lint`: each kind of finding is reported, and no exception is superfluous."""

from pathlib import Path

import pytest

from tests.architecture.readability import LONGEST_TEST_NAME, RUNBOOKS, count, main

BAD = '''"""What does this module do?"""


class Same:
    """Does it run? It may."""

    def run(self) -> None:
        """Run."""
'''


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a tree with a loose module, classes of one name, questions, a long test name, and a bad runbook."""
    monkeypatch.setattr("tests.architecture.readability.HOMONYMS", {"Gone": "two packages had it"})
    for path in ("observability/lab.py", "observability/cli/command.py", "observability/collector/other.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(BAD)
    (tmp_path / "tests").mkdir()
    names = ("test_".ljust(length, "x") for length in (LONGEST_TEST_NAME, LONGEST_TEST_NAME + 1))
    (tmp_path / "tests/test_names.py").write_text("".join(f"def {name}() -> None: ...\n" for name in names))
    (tmp_path / RUNBOOKS).mkdir()
    (tmp_path / RUNBOOKS / "ShopBad.md").write_text("# ShopBad\n\n## Meaning\n\nSee [ShopWorse](ShopWorse.md).\n")
    return tmp_path


def test_each_kind_is_found(tree: Path) -> None:
    found = {kind: [finding.place for finding in findings] for kind, findings in count(tree).items()}
    assert found == {
        "docstrings that ask": [
            f"observability/{name}.py:{line}" for name in ("cli/command", "collector/other", "lab") for line in (1, 4)
        ],
        "modules beside packages": ["observability/lab.py"],
        "public classes of one name": ["observability/cli/command.py:4", "tests/architecture/readability.py"],
        "sections of runbooks that only refer": ["observability/runbooks/ShopBad.md"],
        "long test names": ["tests/test_names.py:2"],
    }
    assert main(tree) == 1
