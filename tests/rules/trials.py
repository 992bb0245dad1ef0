"""Runner of the mutants: many at once over the same samples, each alert under a name of its own."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.rules.mutants import Mutant, mutants
from tests.rules.promtool import Cases, all_cases, failing
from tests.rules.rules import RECORDED, Rule, alert_of, committed_rules, needed_by, rule_file

# What promtool names: an alert that is not what was expected, a rule that ends in an error.
UNEXPECTED = re.compile(r'alertname=\\"(m\d+)\\"')
FAILED = re.compile(r"rule: (\S+), time")


@dataclass(frozen=True, slots=True)
class Subject:
    """A mutant and the cases that may fail for it: those of each alert that needs the rule."""

    rule_name: str
    mutant: Mutant
    original: Rule
    witnesses: Sequence[Cases]

    @property
    def name(self) -> str:
        """What survivors.yml calls it."""
        return f"{self.rule_name}: {self.mutant.slip}"

    def cases(self) -> list[tuple[Cases, Mapping[str, Any]]]:
        """Return the cases that may notice it, one after the other."""
        return [(cases, case) for cases in self.witnesses for case in cases.cases]


def subjects() -> list[Subject]:
    """Return every mutant of every committed rule."""
    made: list[Subject] = []
    alerts = [(cases, alert_of(cases.alert, dict(cases.select))) for cases in all_cases()]
    chains = [(cases, [*needed_by(alert), alert]) for cases, alert in alerts]
    for rule in committed_rules():
        witnesses = [cases for cases, chain in chains if rule in chain]
        window = rule.get("labels", {}).get("long_window", "")
        name = rule.get("record") or " ".join(filter(None, (rule["alert"], window)))
        made += [Subject(name, mutant, rule, witnesses) for mutant in mutants(rule)]
    return made


def survivors_of(everything: Iterable[Subject], folder: Path) -> list[Subject]:
    """Try each mutant on one case after the other until one notices it; return those that none did.

    A case that notices much stands first in its file, so that most mutants meet but one.
    """
    pending, survivors, number = [(subject, 0) for subject in everything], [], 0
    while pending:
        survivors += [subject for subject, met in pending if met >= len(subject.cases())]
        trials: dict[tuple[str, str], list[tuple[Subject, int]]] = defaultdict(list)
        for subject, met in pending:
            if met < len(subject.cases()):
                cases, case = subject.cases()[met]
                trials[cases.name, case["it"]].append((subject, met))
        tests = {}
        for together in trials.values():
            test = folder / f"{number}.test.json"
            number += 1
            tests[test] = together
            subject, met = together[0]
            write_trial(test, *subject.cases()[met], [subject for subject, _ in together])
        said = failing(list(tests))
        pending = [left for test, together in tests.items() for left in unnoticed(together, said.get(test, ""))]
    return survivors


def unnoticed(together: list[tuple[Subject, int]], said: str) -> list[tuple[Subject, int]]:
    """Return the mutants for the next case; those of this case again where a rule's error stopped promtool."""
    errors = set(FAILED.findall(said))
    noticed = errors or set(UNEXPECTED.findall(said))
    assert noticed or not said.strip() or "SUCCESS" in said, said
    broken = {error.rpartition(":")[2] for error in noticed}
    step = 0 if errors else 1
    return [(subject, met + step) for i, (subject, met) in enumerate(together) if f"m{i}" not in broken]


def write_trial(test: Path, cases: Cases, case: Mapping[str, Any], together: list[Subject]) -> None:
    """Write a test file and its rules: what the mutants read, then each mutant as m0, m1 and so on."""
    alert = alert_of(cases.alert, dict(cases.select))
    needed = [rule for subject in together for rule in needed_by(subject.mutant.rule)]
    common = list({rule["record"]: rule for rule in [*needed_by(alert), *needed]}.values())
    copies = [copy for i, subject in enumerate(together) for copy in mutated_chain(alert, subject, f"m{i}")]
    rules = test.with_name(test.name.replace("test", "rules"))
    rules.write_text(json.dumps(rule_file([*common, *copies])))
    test.write_text(json.dumps(cases.about([f"m{i}" for i in range(len(together))], case, rules)))


def mutated_chain(alert: Rule, subject: Subject, key: str) -> list[Rule]:
    """Return the mutant, what reads it, and the alert, under names that no other has."""
    renamed: dict[str, str] = {}
    copies: list[Rule] = []
    for rule in [*needed_by(alert), alert]:
        source = subject.mutant.rule if rule == subject.original else rule
        expression = RECORDED.sub(lambda found: renamed.get(found[0], found[0]), source["expr"])
        if "alert" in rule:
            copies.append({**source, "alert": key, "expr": expression})
        elif rule == subject.original or expression != source["expr"]:
            renamed[rule["record"]] = f"{rule['record']}:{key}"
            copies.append({"record": renamed[rule["record"]], "expr": expression})
    return copies
