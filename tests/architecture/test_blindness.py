"""Checks that the code of the diagnosis contains no name of a service, table, RPC or span of the shop."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from observability.analysis.readers.trace_files import read_spans
from tests.recorded.recordings import unpack

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "observability/analysis").rglob("*.py"))
SERVICES = {"order", "inventory", "notification", "edge", "monolith"}
# The prefix of our metrics and attributes.
PREFIX = {"shop"}
# Words of other things too: the order of spans, the items of a mapping. Only literals are searched for these, without
# docstrings.
ENGLISH = {"order", "items"}


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Everything that we gave a name: services, tables, RPCs and what spans are called."""
    return SERVICES | PREFIX | tables() | rpcs() | span_names(unpack("healthy", tmp_path_factory.mktemp("recorded")))


def test_the_names_are_ours(names: set[str]) -> None:
    """One of each kind, so that none of the ways to find them finds nothing."""
    assert names >= {"order", "shop", "stock_ledger", "dead_letters", "InventoryService", "PlaceOrder"}
    assert names >= {"POST /orders", "SELECT items FOR UPDATE", "notification.send_confirmation"}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_of_the_engine_holds_a_name_of_ours(module: Path, names: set[str]) -> None:
    assert offences(module.read_text(), names) == []


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("SLOW = 'order'", "order"),
        ("print(f'{rows} items were read')", "items"),
        ("PREFIX = 'shop_event_loop_lag'", "shop"),
        ("def in_inventory() -> None: ...", "inventory"),
        ("'''Say how often PlaceOrder was called.'''", "PlaceOrder"),
        ("ledger = tables['stock_ledger']", "stock_ledger"),
        ("if name == 'POST /orders': ...", "POST /orders"),
    ],
)
def test_a_name_of_ours_would_be_found(source: str, name: str, names: set[str]) -> None:
    assert name in offences(source, names)


@pytest.mark.parametrize(
    "source",
    [
        "for each in found.items(): ...",
        "'''Give them in order.'''",
        "ORDERLY = 'border'",
    ],
)
def test_a_word_that_means_something_else_is_borne(source: str, names: set[str]) -> None:
    assert offences(source, names) == []


def offences(source: str, names: set[str]) -> list[str]:
    """Give the names that a module holds, as words or as parts of identifiers."""
    literals = "\n".join(literals_of(source))
    return sorted(name for name in names if holds(literals if name in ENGLISH else source, name))


def holds(text: str, name: str) -> bool:
    return re.search(rf"(?<![A-Za-z]){re.escape(name)}(?![A-Za-z])", text) is not None


def literals_of(source: str) -> Iterator[str]:
    """Give the text in a module that is data."""
    tree = ast.parse(source)
    prose = {id(each.value) for each in ast.walk(tree) if isinstance(each, ast.Expr)}
    for each in ast.walk(tree):
        match each:
            case ast.Constant(value=str(text)) if id(each) not in prose:
                yield text


def tables() -> set[str]:
    """Give the tables that services create, by their migrations or themselves."""
    sources = (path for path in (ROOT / "services").rglob("*") if path.suffix in {".sql", ".py"})
    created = re.compile(r"CREATE TABLE (?:IF NOT EXISTS )?([a-z_]+)")
    return {name for path in sources for name in created.findall(path.read_text())}


def rpcs() -> set[str]:
    """Give the services and the methods of the protos."""
    protos = (ROOT / "protos/shop").rglob("*.proto")
    return {name for path in protos for name in re.findall(r"^(?:service|  rpc) (\w+)", path.read_text(), re.MULTILINE)}


def span_names(recorded: Path) -> set[str]:
    """Give what spans are called, but for the words that are SQL's alone."""
    return {span.name for span in read_spans([recorded / "traces.jsonl"]).spans if not span.name.isupper()}
