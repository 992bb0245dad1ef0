"""Command that writes the rules and configurations, or with `--check` compares them with the committed files."""

import argparse
import sys
from pathlib import Path

import yaml

from observability.prometheus.build.alertmanager import alertmanager_configuration
from observability.prometheus.build.configuration import compose_configuration
from observability.prometheus.build.kubernetes import PROMETHEUS_RULES, prometheus_rules
from observability.prometheus.build.model import Document
from observability.prometheus.build.rule_files import rule_documents

DIRECTORY = Path(__file__).resolve().parent.parent
HEADER = "# Made by `python -m observability.prometheus.build`: change it there.\n"
WIDTH = 118


def kubernetes_text() -> str:
    """Return the text of the manifest that has all rules."""
    return HEADER + yaml.safe_dump_all(prometheus_rules(rule_documents()), sort_keys=False, width=WIDTH)


def texts() -> dict[str, str]:
    """Return the text of every committed file of DIRECTORY by its name."""
    documents: dict[str, Document] = {
        "prometheus.yml": compose_configuration(),
        "alertmanager.yml": alertmanager_configuration(),
        **rule_documents(),
    }
    return {name: HEADER + yaml.safe_dump(d, sort_keys=False, width=WIDTH) for name, d in documents.items()}


def stale_files(directory: Path = DIRECTORY) -> list[str]:
    """Return the names of files that differ from the build, or that the build no longer writes."""
    expected = texts()
    found = {path.name: path.read_text() for path in directory.glob("*.yml")}
    return sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))


def main() -> int:
    """Run the command; 1 when `--check` finds a difference."""
    parser = argparse.ArgumentParser(prog="python -m observability.prometheus.build")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when a file differs")
    if parser.parse_args().check:
        stale = stale_files()
        if PROMETHEUS_RULES.read_text() != kubernetes_text():
            stale.append(str(PROMETHEUS_RULES))
        sys.stderr.writelines(f"{name} differs: run python -m observability.prometheus.build\n" for name in stale)
        return int(bool(stale))
    for name, text in texts().items():
        (DIRECTORY / name).write_text(text)
    PROMETHEUS_RULES.write_text(kubernetes_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
