"""Committed rules, and the recording rules that an alert reads."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

DIRECTORY = Path(__file__).resolve().parents[2] / "observability" / "prometheus"
Rule = dict[str, Any]
RECORDED = re.compile(r"\bshop:[a-z0-9_:]+")


@cache
def committed_rules() -> tuple[Rule, ...]:
    """Return all rules of all committed files, in their order; nobody changes them."""
    return tuple(
        rule
        for path in sorted(DIRECTORY.glob("*.rules.yml"))
        for group in yaml.load(path.read_text(), Loader=yaml.CSafeLoader)["groups"]  # the safe one, in C
        for rule in group["rules"]
    )


def alerts() -> list[Rule]:
    """Return the committed alerts."""
    return [rule for rule in committed_rules() if "alert" in rule]


def alert_of(name: str, select: dict[str, str]) -> Rule:
    """Return the committed alert of this name that has these labels."""
    (rule,) = (rule for rule in alerts() if rule["alert"] == name and select.items() <= rule["labels"].items())
    return rule


def needed_by(rule: Rule) -> list[Rule]:
    """Return the recording rules that a rule reads, directly or not, first what others read."""
    by_name = {rule["record"]: rule for rule in committed_rules() if "record" in rule}

    def walk(expression: str) -> Iterator[Rule]:
        for name in RECORDED.findall(expression):
            if name in by_name:
                yield from walk(by_name[name]["expr"])
                yield by_name[name]

    return list({rule["record"]: rule for rule in walk(rule["expr"])}.values())


def rule_file(rules: list[Rule]) -> dict[str, Any]:
    """Return a file with one group of these rules."""
    return {"groups": [{"name": "rules", "rules": rules}]}
