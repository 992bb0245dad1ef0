"""Command groups: import a command when it is called, list commands without an import, turn errors into exit codes."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar, NamedTuple, TypeAlias

import typer
from typer.core import TyperCommand, TyperGroup

from observability.cli.exit_codes import FAILED, USAGE, CommandFailed, ending_of, usage_status

OWN_PACKAGES = {"observability", "services", "shop"}

PlumbCommand: TypeAlias = TyperCommand | TyperGroup


class CommandEntry(NamedTuple):
    """A command that is imported when it is called.

    path: where it is, as `module:attribute`
    summary: the first sentence of its help
    panel: the heading under which the help lists it
    failed: its exit status when it cannot do its work
    """

    path: str
    summary: str
    panel: str = "Commands"
    failed: int = FAILED


class CommandGroup(TyperGroup):
    """A group that lists whole summaries; Typer's own cuts them at the width of the terminal."""

    failed = FAILED

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - Typer hides its Click
        """Write each command's name and summary, wrapped rather than cut, under the headings of the panels."""
        width = max(map(len, self.commands))
        panels: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            panels.setdefault(self.panel_of(name), []).append((name.ljust(width), first_sentence(command.help or "")))
        for panel, rows in panels.items():
            with formatter.section(panel):
                formatter.write_dl(rows)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401
        """Run a command. An error that it may end with becomes one line on standard error and an exit status."""
        try:
            return super().invoke(ctx)
        except BaseException as error:
            name = ctx.invoked_subcommand or ""
            failed = self.failed_status_of(name)
            ending = ending_of(error, failed=failed)
            if ending is None:
                # Click's usage errors are the errors with this status; Typer does not export them.
                if getattr(error, "exit_code", None) == USAGE and hasattr(error, "ctx"):
                    error.exit_code = usage_status(failed)  # type: ignore[attr-defined]
                raise
            typer.echo(f"{f'{ctx.command_path} {name}'.strip()}: {ending.message}", err=True)
            raise typer.Exit(ending.status) from error

    def panel_of(self, _name: str) -> str:
        """Return the heading under which a command is listed."""
        return "Commands"

    def failed_status_of(self, _name: str) -> int:
        """Return the exit status of a command that cannot do its work."""
        return self.failed


class LazyGroup(CommandGroup):
    """A group that imports the command that is called, and lists all without an import; a subclass names them."""

    entries: ClassVar[Mapping[str, CommandEntry]]

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = {name: TyperCommand(name, help=entry.summary) for name, entry in self.entries.items()}

    def get_command(self, ctx: Any, cmd_name: str) -> PlumbCommand | None:  # noqa: ANN401
        """Import the command of a name; None when there is none."""
        entry = self.entries.get(cmd_name)
        return entry and imported(cmd_name, entry)

    def panel_of(self, name: str) -> str:
        """Return the heading that the command's entry names."""
        return self.entries[name].panel

    def failed_status_of(self, name: str) -> int:
        """Return the status that the command's entry names."""
        return self.entries[name].failed if name in self.entries else self.failed


def new_app(
    *, help_text: str | None = None, cls: type[CommandGroup] = CommandGroup, name: str | None = None
) -> typer.Typer:
    """Return an app without commands; its help is plain, since Rich's tables break narrow terminals and take 0.2 s."""
    return typer.Typer(
        name=name,
        cls=cls,
        help=help_text,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )


def imported(name: str, entry: CommandEntry) -> PlumbCommand:
    """Import a command, which is a function, or a group of them, which is an app.

    Raises CommandFailed where the package is installed without the extra that the command needs.
    """
    path, _, attribute = entry.path.partition(":")
    try:
        module = import_module(path)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in OWN_PACKAGES:
            raise
        raise CommandFailed(
            f"{name} needs {error.name}, which is not installed: install plumbline[platform].", status=entry.failed
        ) from error
    app = getattr(module, attribute)
    if not isinstance(app, typer.Typer):
        function, app = app, new_app()
        app.command(name)(function)
    command = typer.main.get_command(app)
    assert isinstance(command, TyperCommand | TyperGroup)
    command.name = name
    if isinstance(command, CommandGroup):
        command.failed = entry.failed
    return command


def first_sentence(help_text: str) -> str:
    """Return the first sentence of a help text, in one line."""
    return " ".join(help_text.split()).partition(". ")[0].removesuffix(".") + "."
