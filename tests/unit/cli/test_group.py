"""Command groups: the summaries that they list are the first sentences of the commands' help texts."""

from pathlib import Path

import pytest

from observability.cli import Plumb
from observability.cli.bench import Bench
from observability.cli.chaos import Chaos
from observability.cli.exit_codes import CommandFailed
from observability.cli.group import CommandEntry, first_sentence, imported

ENTRIES = [
    (f"{group.__name__} {name}", entry) for group in (Plumb, Bench, Chaos) for name, entry in group.entries.items()
]


@pytest.mark.parametrize("entry", [entry for _, entry in ENTRIES], ids=[name for name, _ in ENTRIES])
def test_a_listed_summary_is_the_first_sentence_of_the_help(entry: CommandEntry) -> None:
    assert first_sentence(imported("any", entry).help or "") == entry.summary


def test_a_command_whose_extra_is_not_installed_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "needs_more.py").write_text("import no_such_package.part\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(CommandFailed, match="demo needs no_such_package, which is not installed") as raised:
        imported("demo", CommandEntry("needs_more:demo", "Start the platform.", failed=3))
    assert raised.value.status == 3


def test_a_module_of_ours_that_is_missing_is_a_bug() -> None:
    with pytest.raises(ModuleNotFoundError):
        imported("demo", CommandEntry("observability.no_such_module:demo", "Start the platform."))
