"""The start of `plumb`: what its help costs, that its table of commands is true, and that its help fits a terminal."""

import subprocess
import sys

import pytest
from typer.core import TyperGroup
from typer.testing import CliRunner

from observability.cli import Plumb, main
from observability.cli.group import first_sentence, imported

# What some commands need, and their list does not.
HEAVY = "aiohttp asyncpg fastapi grpc google.protobuf opentelemetry prometheus_client psutil pydantic rich structlog"


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_what_runs_no_command_imports_none(option: str) -> None:
    program = f"import sys; from observability.cli import main; main(['{option}'], standalone_mode=False); "
    program += "print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    modules = set(ran.stdout.splitlines()[-1].split())
    assert not modules & set(HEAVY.split())
    assert {name for name in modules if name.startswith("observability.cli.")} == {"observability.cli.group"}


@pytest.mark.parametrize("name", Plumb.entries)
def test_the_table_says_what_the_command_says_first(name: str) -> None:
    entry = Plumb.entries[name]
    command = imported(name, entry)
    assert entry.summary == first_sentence(command.help or "")


def paths() -> list[list[str]]:
    """Return the words of each command and each group."""
    found: list[list[str]] = [[]]
    for name, entry in Plumb.entries.items():
        command = imported(name, entry)
        found.append([name])
        if isinstance(command, TyperGroup):
            found.extend([name, child] for child in command.commands)
    return found


# An option and its choices stay on one line, of which the longest takes 55.
@pytest.mark.parametrize("columns", [60, 80, 100])
def test_help_fits_the_terminal(columns: int) -> None:
    for words in paths():
        ran = CliRunner().invoke(main, [*words, "--help"], terminal_width=columns)
        assert ran.exit_code == 0, ran.output
        assert max(map(len, ran.output.splitlines())) <= columns, words


def test_the_version_is_that_of_the_package() -> None:
    assert CliRunner().invoke(main, ["--version"]).output == "plumb 0.1.0\n"


def test_a_misspelled_command_is_answered_with_the_nearest() -> None:
    ran = CliRunner().invoke(main, ["lod"])
    assert ran.exit_code == 2
    assert "'load'" in ran.output
