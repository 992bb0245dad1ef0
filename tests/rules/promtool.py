"""Runner of the cases: translates them for promtool, many files a process, two processes at a time."""

import json
import os
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from tests.patience import PATIENCE_SECONDS

CASES = Path(__file__).parent / "cases"
FILES_A_PROCESS = 25
PROCESSES = 2
# One a file, in the order of the files; version 3 does not say their names.
VERDICT = re.compile(r"^  (?=SUCCESS$|FAILED:$)", re.MULTILINE)
# Each process has a processor to itself, and collects garbage seldom: it lives for seconds.
ENVIRONMENT = {"GOMAXPROCS": "1", "GOGC": "400"}


@dataclass(frozen=True, slots=True)
class Cases:
    """A file of cases. `select` are the labels that tell the alert apart from others of its name.

    Each case has `given`, the samples by series (or by a name that the file gives a series), and `then`, by time:
    "silent", "fires", the labels that the alert has besides the file's, or a list of such.
    """

    name: str
    alert: str
    select: Mapping[str, str]
    every: str
    labels: Mapping[str, str]
    names: Mapping[str, str]
    cases: Sequence[Mapping[str, Any]]

    def document(self, rules: Path) -> dict[str, Any]:
        """Return promtool's test file over a file of rules."""
        tests = [self._test(case) for case in self.cases]
        return {"rule_files": [str(rules)], "evaluation_interval": self.every, "tests": tests}

    def about(self, alerts: Sequence[str], case: Mapping[str, Any], rules: Path) -> dict[str, Any]:
        """Return promtool's test file that expects of each of these alerts what one case does of ours."""
        document = replace(self, cases=[case]).document(rules)
        (test,) = document["tests"]
        test["promql_expr_test"] = [
            expected for alert in alerts for expected in replace(self, alert=alert)._test(case)["promql_expr_test"]
        ]
        return document

    def _test(self, case: Mapping[str, Any]) -> dict[str, Any]:
        given = case.get("given", {})
        if unquoted := [name for name, values in given.items() if not isinstance(values, str)]:
            raise TypeError(f"{self.name}: YAML reads 0x20 as 32: quote the samples of {', '.join(unquoted)}")
        return {
            "name": case["it"],
            "interval": self.every,
            "input_series": [{"series": self.names.get(name, name), "values": given[name]} for name in given],
            "promql_expr_test": [
                {"expr": self._selector(), "eval_time": time, "exp_samples": self._expected(expected)}
                for time, expected in case["then"].items()
            ],
        }

    def _selector(self) -> str:
        return "ALERTS" + braced({"alertname": self.alert, "alertstate": "firing", **self.select})

    def _expected(self, expected: str | Mapping[str, str] | list[Mapping[str, str]]) -> list[dict[str, object]]:
        if expected == "silent":
            return []
        one: Mapping[str, str] = {} if isinstance(expected, str | list) else expected
        own = expected if isinstance(expected, list) else [one]
        common = {"alertname": self.alert, "alertstate": "firing", **self.labels}
        return [{"labels": "ALERTS" + braced({**common, **labels}), "value": 1} for labels in own]


def braced(labels: Mapping[str, str]) -> str:
    """Return labels as PromQL writes them."""
    return "{" + ",".join(f"{name}={json.dumps(str(value))}" for name, value in labels.items()) + "}"


def read_cases(path: Path) -> Cases:
    """Read a file of cases."""
    content = yaml.load(path.read_text(), Loader=yaml.CSafeLoader)  # the safe one, in C
    return Cases(
        name=path.stem,
        alert=content["alert"],
        select=content.get("select", {}),
        every=content["every"],
        labels=content["labels"],
        names=content.get("names", {}),
        cases=content["cases"],
    )


def all_cases() -> list[Cases]:
    """Return every file of cases."""
    return [read_cases(path) for path in sorted(CASES.glob("*.yml"))]


def failing(tests: Sequence[Path]) -> dict[Path, str]:
    """Run test files; return what promtool said of each that failed."""
    batches = [tests[i : i + FILES_A_PROCESS] for i in range(0, len(tests), FILES_A_PROCESS)]
    with ThreadPoolExecutor(PROCESSES) as pool:
        return {path: said for results in pool.map(_run_batch, batches) for path, said in results}


def check_rules(rules: Iterable[Path]) -> None:
    """Raise CalledProcessError when promtool does not accept a file of rules."""
    subprocess.run(["promtool", "check", "rules", *rules], check=True, capture_output=True, timeout=PATIENCE_SECONDS)


def _run_batch(tests: Sequence[Path]) -> list[tuple[Path, str]]:
    command = ["promtool", "test", "rules", *map(str, tests)]
    done = subprocess.run(
        command,
        env={**os.environ, **ENVIRONMENT},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    said = VERDICT.split(done.stdout)[1:]
    return [(path, text) for path, text in zip(tests, said, strict=True) if not text.startswith("SUCCESS")]
