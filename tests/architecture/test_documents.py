"""Checks that every target, command, option and path that the documents name exists."""

import functools
import re

import typer
from typer.core import TyperCommand, TyperGroup

from observability.cli import main
from observability.cli.group import PlumbCommand
from tests.architecture import documents
from tests.each import for_each

TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)


def test_documents_name_the_main_commands() -> None:
    """The tests below would pass on empty documents."""
    named = {command.words[0] for command in documents.commands("make") if command.words}
    assert {"demo", "test", "lint", "up"} <= named


@for_each(sorted(set(documents.commands("make")), key=repr))
def test_make_target_exists(command: documents.Command) -> None:
    targets = TARGET.findall((documents.ROOT / "Makefile").read_text())
    assert set(command.words) <= set(targets), command.document


@for_each(sorted(set(documents.commands("plumb")), key=repr))
def test_plumb_command_and_its_options_exist(command: documents.Command) -> None:
    assert set(command.options) <= options_of(find(plumb(), command.words)), command.document


def test_every_option_that_stands_alone_belongs_to_some_command() -> None:
    known = set().union(*(options_of(command) for command in tree(plumb())))
    unknown = {option for option in documents.lone_options() if option[1] not in known}
    assert not unknown


def test_every_path_exists() -> None:
    missing = [f"{document}: {path}" for document, path in documents.paths() if not documents.exists(path)]
    assert not missing, "\n".join(missing)


def test_index_lists_every_document() -> None:
    folder = documents.ROOT / "docs"
    index = (folder / "README.md").read_text()
    missing = [path.name for path in folder.glob("*.md") if path.name != "README.md" and f"]({path.name})" not in index]
    assert not missing


def test_decisions_index_has_every_decision_by_its_title() -> None:
    folder = documents.ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text()
    for path in sorted(folder.glob("0*.md")):
        title = re.sub(r"^# \d+\. ", "", path.read_text().splitlines()[0])
        assert f"]({path.name}) | {title}" in index


@functools.cache
def plumb() -> PlumbCommand:
    """Return the command line itself, as typer built it."""
    command = typer.main.get_command(main)
    assert isinstance(command, TyperGroup)
    return command


def find(command: PlumbCommand, words: tuple[str, ...]) -> PlumbCommand:
    """Follow the words down the tree of commands; further words are a command's arguments."""
    for word in words:
        if not isinstance(command, TyperGroup):
            break
        children = {child.name: child for child in below(command)}
        assert word in children, f"plumb has no command {word}"
        command = children[word]
    return command


def tree(command: PlumbCommand) -> list[PlumbCommand]:
    """Return the command and all below it."""
    return [command, *(descendant for child in below(command) for descendant in tree(child))]


def below(command: PlumbCommand) -> list[PlumbCommand]:
    """Return the command's own commands."""
    if not isinstance(command, TyperGroup):
        return []
    with command.make_context(command.name, ["--help"], resilient_parsing=True) as context:
        children = [command.get_command(context, name) for name in command.list_commands(context)]
    return [child for child in children if isinstance(child, TyperCommand | TyperGroup)]


def options_of(command: PlumbCommand) -> set[str]:
    """Return the command's options, --help among them."""
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}
