"""`plumb --help`: which modules it imports, that its summaries are those of the commands, and that it fits."""

import re
import subprocess
import sys

import pytest
from typer.core import TyperGroup
from typer.testing import CliRunner

from observability.cli import Plumb, main
from observability.cli.bench import Bench
from observability.cli.group import CommandEntry, first_sentence, imported

AN_OPTION_AND_ITS_CHOICES = re.compile(r" +--[a-z]+ <\S+>")
# Libraries that some commands need, and their list does not.
HEAVY = "aiohttp asyncpg fastapi grpc google.protobuf opentelemetry prometheus_client psutil pydantic rich structlog"


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_the_list_of_commands_imports_no_command(option: str) -> None:
    program = f"import sys; from observability.cli import main; main(['{option}'], standalone_mode=False); "
    program += "print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    modules = set(ran.stdout.splitlines()[-1].split())
    assert not modules & set(HEAVY.split())
    assert {name for name in modules if name.startswith("observability.cli.")} == {
        "observability.cli.exit_codes",
        "observability.cli.group",
    }


@pytest.mark.parametrize(
    ("name", "entry"), [pytest.param(*item, id=item[0]) for item in (*Plumb.entries.items(), *Bench.entries.items())]
)
def test_a_summary_is_the_first_sentence_of_the_help(name: str, entry: CommandEntry) -> None:
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


@pytest.mark.parametrize("columns", [50, 80, 100])
def test_help_fits_the_terminal(columns: int) -> None:
    for words in paths():
        ran = CliRunner().invoke(main, [*words, "--help"], terminal_width=columns)
        assert ran.exit_code == 0, ran.output
        too_long = [line for line in ran.output.splitlines() if len(line) > columns]
        assert all(AN_OPTION_AND_ITS_CHOICES.fullmatch(line) for line in too_long), too_long


def test_the_help_lists_the_commands_in_groups() -> None:
    printed = CliRunner().invoke(main, ["--help"], terminal_width=100).output
    headings = [line.removesuffix(":") for line in printed.splitlines() if re.fullmatch(r"[A-Z][a-z ]+:", line)]
    assert headings == ["Options", "Run", "Load", "Diagnose and experiment", "Break", "Operate", "Bench"]


def test_the_version_is_that_of_the_package() -> None:
    assert CliRunner().invoke(main, ["--version"]).output == "plumb 0.1.0\n"


def test_a_misspelled_command_gets_a_suggestion() -> None:
    ran = CliRunner().invoke(main, ["lod"])
    assert ran.exit_code == 2
    assert "'load'" in ran.output
