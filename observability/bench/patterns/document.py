"""Documents of the patterns: the file of results, and the table that is rendered from it."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
from pydantic import TypeAdapter

from observability.bench.patterns.catalogue import PATTERNS, Pattern
from observability.bench.patterns.effect import PatternEffect, Unit

FORMAT = "plumbline-patterns/1"
RESULTS, TABLE = "patterns.json", "patterns.md"
COMMAND = "plumb bench patterns --to docs"
HEAD = f"""# Patterns

Each pattern of *Patterns for Building Scalable Distributed Systems*: where it is in the code, what shows its effect,
how large the effect is on one small machine, and when not to use it.

`{COMMAND}` measures all of them in about twenty minutes and writes this page and [{RESULTS}]({RESULTS}), which has the
value of every block. No figure here is typed by hand. A ratio below 1 means that the first side takes less. Intervals
are 95 %. A ratio compares pairs of blocks that ran in turn, in random order, in one run. The interval of a share is
exact (binomial), with each order as one trial. Orders arrive in an open loop; reads, the orders of the telemetry
benchmark and the baskets of the sharding benchmark are sent one after the other. The figures hold for this machine: on
another one the ratios differ, so run the command there.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternResult:
    """The effects of one pattern, and when, where and with which code they were measured.

    date: of the measurement, UTC.
    commit: the code, with -dirty for changes that are not committed.
    loop_milliseconds: time of a fixed loop on this machine before and after; it shows how fast and how quiet it was.
    environment: hardware and versions, by name.
    effects: the figures.
    """

    date: str
    commit: str
    loop_milliseconds: tuple[float, float]
    environment: Mapping[str, str]
    effects: Sequence[PatternEffect]


@dataclass(frozen=True, slots=True)
class Results:
    """The file of results: the format, and what was measured, by pattern."""

    format: str
    patterns: Mapping[str, PatternResult]


def read_results(path: Path) -> Results:
    """Read a file of results; without one there are none. Raises OSError, or ValueError for another format."""
    if not path.exists():
        return Results(FORMAT, {})
    results = TypeAdapter(Results).validate_json(path.read_bytes())
    if results.format != FORMAT:
        raise ValueError(f"{path} has the format {results.format!r}, not {FORMAT!r}")
    return results


def encode(results: Results) -> bytes:
    """Return the content of the file of results."""
    return orjson.dumps(results, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def render(results: Results, *, folder: Path, root: Path) -> str:
    """Return the table as Markdown, for a file in `folder` of the repository `root`."""
    lines = [
        "| pattern | where | shown by | measured effect (95 % interval) | do not use it when |",
        "|" + " --- |" * 5,
    ]
    for pattern in PATTERNS:
        cells = (
            f"**{pattern.title}**",
            "<br>".join(f"[{name_of(path)}]({link(path, folder=folder, root=root)})" for path in pattern.where),
            "<br>".join(f"`{command}`" for command in pattern.shown_by),
            "<br>".join(sentence(effect) for effect in effects_of(pattern, results)) or "not measured yet",
            pattern.not_when,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([HEAD, *lines, "", *provenance(results), ""])


def effects_of(pattern: Pattern, results: Results) -> Sequence[PatternEffect]:
    """Return the effects of a pattern, none when it was not measured."""
    measured = results.patterns.get(pattern.name)
    return measured.effects if measured else ()


def sentence(effect: PatternEffect) -> str:
    """Return an effect as a cell of the table."""
    value, low, high = (
        number(each, effect.unit) for each in (effect.figure.value, effect.figure.low, effect.figure.high)
    )
    trials = f" of {effect.count:,}" if effect.unit is Unit.SHARE else ""
    invalid = f"; {effect.invalid} blocks invalid" if effect.invalid else ""
    return f"{effect.what}: **{value}**{trials} ({low} to {high}{invalid})"


def number(value: float, unit: Unit) -> str:
    """Return a figure with two or three significant digits."""
    if unit is Unit.SHARE:
        return f"{100 * value:.3g} %"
    if abs(value) >= 10:
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.2g}"


def provenance(results: Results) -> list[str]:
    """Return when and where the figures were measured, one line for each run."""
    runs: dict[tuple[str, str], list[str]] = {}
    for pattern in PATTERNS:
        if measured := results.patterns.get(pattern.name):
            runs.setdefault((measured.date[:10], measured.commit), []).append(pattern.name)
    lines = ["Measured:", ""]
    for (date, commit), names in runs.items():
        measured = results.patterns[names[0]]
        loops = [each for name in names for each in results.patterns[name].loop_milliseconds]
        machine = "; ".join(f"{name}: {value}" for name, value in measured.environment.items())
        which = "all patterns" if len(names) == len(PATTERNS) else ", ".join(names)
        lines.append(
            f"- {date}, commit {commit}: {which}. {machine}. A fixed loop took {min(loops):.1f} to {max(loops):.1f} ms "
            "before and after each measurement."
        )
    return lines


def name_of(path: str) -> str:
    """Return the last parts of a path, enough to recognise it."""
    parts = Path(path).parts
    return "/".join(parts[-2:]) if len(parts) > 2 else path


def link(path: str, *, folder: Path, root: Path) -> str:
    """Return the path relative to the folder of the table."""
    return Path(os.path.relpath(root / path, folder)).as_posix()
