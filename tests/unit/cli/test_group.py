"""Command groups: the summaries that they list are the first sentences of the commands' help texts."""

import pytest

from observability.cli import Plumb
from observability.cli.bench import Bench
from observability.cli.chaos import Chaos
from observability.cli.group import CommandEntry, first_sentence, imported

ENTRIES = [
    (f"{group.__name__} {name}", entry) for group in (Plumb, Bench, Chaos) for name, entry in group.entries.items()
]


@pytest.mark.parametrize("entry", [entry for _, entry in ENTRIES], ids=[name for name, _ in ENTRIES])
def test_a_listed_summary_is_the_first_sentence_of_the_help(entry: CommandEntry) -> None:
    assert first_sentence(imported("any", entry).help or "") == entry.summary
