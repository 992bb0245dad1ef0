"""Writes the report and the summary of a trial into the trial's folder."""

from pathlib import Path

from observability.experiments.runner.artifacts import Folder
from observability.report.experiment.evidence import read_evidence
from observability.report.experiment.page import render
from observability.report.experiment.summary import summarise
from services.infra.atomic_file import write_atomically


def write_summary(folder: Folder, path: Path) -> Path:
    """Write the summary alone, to a place of its own; return it. Raises NotFinished, OSError."""
    write_atomically(path, summarise(read_evidence(folder)).encode())
    return path


def write_report(folder: Folder) -> tuple[Path, Path]:
    """Write report.html and summary.md, and return where they are. Raises NotFinished, OSError."""
    evidence = read_evidence(folder)
    page, summary = folder.path / "report.html", folder.path / "summary.md"
    write_atomically(page, render(evidence).encode())
    write_atomically(summary, summarise(evidence).encode())
    return page, summary
