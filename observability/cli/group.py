"""Command groups whose commands are imported when they are called, and whose help fits a narrow terminal."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar, NamedTuple, TypeAlias

import typer
from typer.core import TyperCommand, TyperGroup

PlumbCommand: TypeAlias = TyperCommand | TyperGroup


class CommandEntry(NamedTuple):
    """Where a command is, as `module:attribute`, and its summary: the first sentence of its help."""

    path: str
    summary: str


class CommandGroup(TyperGroup):
    """A group that lists whole summaries; Typer's own cuts them at the width of the terminal."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - Typer hides its Click
        """Write each command's name and summary, wrapped rather than cut."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, first_sentence(each.help or "")) for name, each in self.commands.items()])


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


def new_app(*, help_text: str | None = None, cls: type[CommandGroup] = CommandGroup) -> typer.Typer:
    """Return an app without commands; its help is plain, since Rich's tables break narrow terminals and take 0.2 s."""
    return typer.Typer(
        cls=cls,
        help=help_text,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )


def imported(name: str, entry: CommandEntry) -> PlumbCommand:
    """Import a command, which is a function, or a group of them, which is an app."""
    module, _, attribute = entry.path.partition(":")
    app = getattr(import_module(module), attribute)
    if not isinstance(app, typer.Typer):
        function, app = app, new_app()
        app.command(name)(function)
    command = typer.main.get_command(app)
    assert isinstance(command, TyperCommand | TyperGroup)
    command.name = name
    return command


def first_sentence(help_text: str) -> str:
    """Return the first sentence of a help text, in one line."""
    return " ".join(help_text.split()).partition(". ")[0].removesuffix(".") + "."
