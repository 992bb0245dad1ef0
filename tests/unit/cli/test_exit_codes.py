"""Errors of a command become one line on standard error and an exit status; bugs name their report."""

import signal
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import ClassVar, NoReturn

import pytest
from typer.testing import CliRunner

from observability.cli import main
from observability.cli.exit_codes import FAILURES, INTERRUPTION, USAGE_ERRORS, CommandFailed, ending_of, loaded
from observability.cli.group import CommandEntry, LazyGroup, new_app
from observability.load.errors import LoadError, LoadUsageError
from services.local.processes.errors import PortTaken
from services.local.processes.signals import Interrupted

EXPECTED = {
    "load": (LoadError("no platform is running"), "no platform is running", 3),
    "usage": (LoadUsageError("--rate must be above 0"), "--rate must be above 0", 2),
    "subclass": (PortTaken("port 8400 is in use"), "port 8400 is in use", 3),
    "system": (FileNotFoundError(2, "No such file", "traces"), "[Errno 2] No such file: 'traces'", 3),
    "silent": (TimeoutError(), "TimeoutError", 3),
    "own": (CommandFailed("not swapped"), "not swapped", 3),
    "own-status": (CommandFailed("bad id", status=4), "bad id", 4),
    "signal": (Interrupted(signal.SIGTERM), "interrupted; everything is stopped", 143),
    "keyboard": (KeyboardInterrupt(), "interrupted", 130),
}
BUG = KeyError("pool")


def raising(error: BaseException) -> Callable[[], NoReturn]:
    """Return a command that raises an error."""

    def command() -> NoReturn:
        raise error

    return command


# Where LazyGroup imports the commands of these tests.
FAIL = {"bug": raising(BUG), **{name: raising(error) for name, (error, _, _) in EXPECTED.items()}}
globals().update({f"fail_{name}": command for name, command in FAIL.items()})
nested = new_app()
nested.callback()(lambda: None)
for command_name, failing in FAIL.items():
    nested.command(command_name)(failing)


class Failing(LazyGroup):
    """A group like `plumb`, with commands that fail."""

    entries: ClassVar = {
        **{name: CommandEntry(f"{__name__}:fail_{name}", "Fail.", failed=3) for name in FAIL},
        "group": CommandEntry(f"{__name__}:nested", "Fail in a group.", failed=3),
    }


failing_app = new_app(cls=Failing, name="plumb")
failing_app.callback()(lambda: None)


@pytest.mark.parametrize("group", [(), ("group",)], ids=["command", "nested"])
@pytest.mark.parametrize("name", EXPECTED)
def test_an_expected_error_is_one_line_and_a_status(name: str, group: tuple[str, ...]) -> None:
    _, message, status = EXPECTED[name]
    ran = CliRunner().invoke(failing_app, [*group, name])
    assert (ran.exit_code, ran.stdout) == (status, "")
    assert ran.stderr == f"{' '.join(('plumb', *group, name))}: {message}\n"


def test_a_bug_is_a_failure_and_names_its_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's own status 1 says something else in some commands."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ran = CliRunner().invoke(failing_app, ["bug"])
    [report] = tmp_path.iterdir()
    said = f"plumb bug: this is a bug of plumb: KeyError: 'pool'; its report is in {report}\n"
    assert (ran.exit_code, ran.stderr) == (3, said)
    assert report.read_text().startswith("Traceback (most recent call last):\n")


def test_a_bug_whose_report_cannot_be_written_says_it_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    ran = CliRunner().invoke(failing_app, ["bug"])
    assert ran.exit_code == 3
    assert "Traceback (most recent call last):\n" in ran.stderr


@pytest.mark.parametrize("arguments", [(), (".", "--no-such-option"), (".", "--operation", "a")])
def test_a_usage_error_of_diagnose_is_no_verdict(arguments: tuple[str, ...]) -> None:
    assert CliRunner().invoke(main, ["diagnose", *arguments]).exit_code == 3


def test_a_reader_that_left_is_no_failure_of_the_command() -> None:
    assert ending_of(BrokenPipeError(), failed=1) is None


@pytest.mark.parametrize("path", [*FAILURES, *USAGE_ERRORS, INTERRUPTION])
def test_each_expected_error_exists(path: str) -> None:
    import_module(path.partition(":")[0])
    (found,) = loaded(path)
    assert issubclass(found, Exception)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("load", "--rate", "1", "--duration", "1"), 1),
        (("verify",), 2),
        (("diagnose", "missing"), 3),
        (("lab", "report", "missing"), 3),
        (("chaos", "kill", "--resume", "missing"), 2),
        (("trace", "0" * 32), 2),
        (("traces", "send", "missing"), 2),
        (("drill", "ShopNoSuchAlert"), 2),
        (("proxy", "--to", "127.0.0.1:1", "--latency-ms", "-1"), 2),
        (("deadletters", "list"), 1),
        (("projection", "rebuild"), 1),
        (("bench", "overload", "--work", "none"), 2),
    ],
)
def test_each_command_fails_with_its_documented_status(
    arguments: tuple[str, ...], status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = CliRunner().invoke(main, arguments)
    assert ran.exit_code == status, ran.output
    (line,) = ran.stderr.splitlines()
    assert line.startswith((f"plumb {arguments[0]}: ", f"plumb {' '.join(arguments[:2])}: "))
    assert not list(tmp_path.iterdir())
