"""Mutants of a rule: copies with one mistake each."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.rules.rules import RECORDED, Rule

# A number that something is compared with, or what a budget's burn is measured by.
LIMIT = re.compile(r"(?P<before>(?:[<>]|[=!]=)(?: bool)? )(?P<number>[0-9.]+)")
OBJECTIVE = re.compile(r"(?P<before>\(1 - )(?P<number>0\.[0-9]+)(?=\))")
COMPARATOR = re.compile(r" (>|<|==) ")
WINDOW = re.compile(r"\[(\d+)([smhd])\]")
MATCHER = re.compile(r'([a-z_]+)(=~|!~|!=|=)"([^"]*)"(,?)')
METRIC = re.compile(r"\b(?:[a-z]+_[a-z_]*[a-z]|up|shop:[a-z0-9_:]+)(?=[{\[)]| [><=]|$)")
BY = re.compile(r"by \(([a-z_, ]+)\)")
SUFFIX = re.compile(r"\(_total\)\?")
DURATION = re.compile(r"(\d+)([a-z]+)")
FLIPPED = {">": "<", "<": ">", "==": "!="}
# The bounds beside the one that is used.
NEIGHBOURS = {"0.1": ("0.05", "0.25"), "0.5": ("0.25", "1.0")}
BURN_WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")


@dataclass(frozen=True, slots=True)
class Mutant:
    """A rule with one mistake, and the mistake's description."""

    slip: str
    rule: Rule


def mutants(rule: Rule) -> list[Mutant]:
    """Return every mutant of a rule; none is the rule itself."""
    made = [*_of_expression(rule), *_of_alert(rule)]
    return list({str(mutant.rule): mutant for mutant in made if mutant.rule != rule}.values())


def _of_expression(rule: Rule) -> Iterator[Mutant]:
    expression: str = rule["expr"]
    for ways in (
        _limits,
        _comparators,
        _windows,
        _recorded_windows,
        _arms,
        _matchers,
        _alternatives,
        _names,
        _grouping,
    ):
        for slip, mutated in ways(expression):
            yield Mutant(slip, {**rule, "expr": mutated})


def _of_alert(rule: Rule) -> Iterator[Mutant]:
    if "alert" not in rule:
        return
    for key in ("for", "keep_firing_for"):
        without = {name: value for name, value in rule.items() if name != key}
        if key in rule:
            yield Mutant(f"{key} is 0", without)
            yield Mutant(f"{key} x 10", {**rule, key: _times(rule[key], 10)})
    if "for" not in rule and rule["expr"] != "vector(1)":
        yield Mutant("for is 5m", {**rule, "for": "5m"})
    for label in rule["labels"]:
        others = {name: value for name, value in rule["labels"].items() if name != label}
        yield Mutant(f"label {label} dropped", {**rule, "labels": others})
        yield Mutant(f"label {label} is another", {**rule, "labels": {**others, label: "other"}})


def _limits(expression: str) -> Iterator[tuple[str, str]]:
    for found in LIMIT.finditer(expression):
        number = float(found["number"])
        changes = (number * 10, number / 10) if number else (10.0,)
        for changed in changes:
            text = f"{found['before']}{changed:.10g}"
            yield f"{found['number']} is {changed:.10g}", _put(expression, found, text)
    for found in OBJECTIVE.finditer(expression):
        budget = 1 - float(found["number"])
        for changed in (1 - budget * 10, 1 - budget / 10):
            yield f"objective is {changed:.10g}", _put(expression, found, f"{found['before']}{changed:.10g}")


def _comparators(expression: str) -> Iterator[tuple[str, str]]:
    for found in COMPARATOR.finditer(expression):
        yield f"{found[1]} flipped", _put(expression, found, f" {FLIPPED[found[1]]} ")


def _windows(expression: str) -> Iterator[tuple[str, str]]:
    for found in WINDOW.finditer(expression):
        duration = found[1] + found[2]
        for factor in (2, 0.5):
            changed = _times(duration, factor)
            yield f"window at {found.start()} is {changed}", _put(expression, found, f"[{changed}]")


def _recorded_windows(expression: str) -> Iterator[tuple[str, str]]:
    for found in RECORDED.finditer(expression):
        window = next((w for w in BURN_WINDOWS if re.search(rf"(?:rate|avg){w}$", found[0])), None)
        if window is None:
            continue
        place = BURN_WINDOWS.index(window)
        for other in BURN_WINDOWS[max(0, place - 1) : place + 2]:
            changed = found[0].removesuffix(window) + other
            yield f"{found[0]} over {other}", _put(expression, found, changed)


def _arms(expression: str) -> Iterator[tuple[str, str]]:
    for word in (" and ignoring(le) ", " and ", " or "):
        arms = expression.split(word)
        if len(arms) > 1:
            for i, arm in enumerate(arms):
                yield f"dropped: {arm}", word.join(arms[:i] + arms[i + 1 :])
            return
    if expression.startswith("1 - "):
        yield "no 1 -", expression.removeprefix("1 - ")


def _matchers(expression: str) -> Iterator[tuple[str, str]]:
    for found in MATCHER.finditer(expression):
        name, operator, value, comma = found.groups()
        if name != "__name__":  # what would be left selects everything
            yield f"{found[0]} at {found.start()} dropped", _put(expression, found, "")
        opposite = {"=": "!=", "=~": "!~", "!~": "=~", "!=": "="}[operator]
        if name != "__name__":
            yield f"{found[0]} at {found.start()} negated", _put(expression, found, f'{name}{opposite}"{value}"{comma}')
        for other in NEIGHBOURS.get(value, ("other",)) if name == "le" else ("other",):
            changed = f'{name}{operator}"{other}"{comma}'
            yield f"{found[0]} at {found.start()} is {other}", _put(expression, found, changed)


def _alternatives(expression: str) -> Iterator[tuple[str, str]]:
    for found in re.finditer(r"[a-z_]+(?:\|[a-z_]+)+", expression):
        alternatives = found[0].split("|")
        for alternative in alternatives:
            left = "|".join(other for other in alternatives if other != alternative)
            yield f"{alternative} of {found[0]} dropped", _put(expression, found, left)
    for found in SUFFIX.finditer(expression):
        yield "never _total", _put(expression, found, "")
        yield "always _total", _put(expression, found, "_total")


def _names(expression: str) -> Iterator[tuple[str, str]]:
    for found in METRIC.finditer(expression):
        yield f"{found[0]} at {found.start()} renamed", _put(expression, found, f"{found[0]}_renamed")


def _grouping(expression: str) -> Iterator[tuple[str, str]]:
    for found in BY.finditer(expression):
        labels = found[1].split(", ")
        for label in labels:
            left = ", ".join(other for other in labels if other != label)
            yield f"by without {label}", _put(expression, found, f"by ({left})")
    for name, other in (("sum", "max"), ("max", "min")):
        if expression.startswith((f"{name} by", f"{name}(")):
            yield f"{name} is {other}", other + expression.removeprefix(name)


def _times(duration: str, factor: float) -> str:
    """Return a duration of one unit times a factor, in seconds."""
    found = DURATION.fullmatch(duration)
    assert found, duration
    return f"{int(int(found[1]) * {'s': 1, 'm': 60, 'h': 3_600, 'd': 86_400}[found[2]] * factor)}s"


def _put(text: str, found: re.Match[str], replacement: str) -> str:
    return text[: found.start()] + replacement + text[found.end() :]
