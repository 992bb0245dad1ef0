"""Ledger of all trials: an append-only file with the start and the outcome of each, right or wrong."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson

from observability.experiments.runner.errors import TrialError

_NAME = "runs.jsonl"
CUT_OFF = "cut off"


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """The start of a trial, with an empty `outcome`, or its end; `at` is in UTC."""

    at: str
    experiment: str
    seed: int
    folder: str
    outcome: str = ""


class Ledger:
    """The trials in one folder, in order of their start; lines are only appended."""

    def __init__(self, output: Path) -> None:
        self._path = output / _NAME

    def write(self, experiment: str, seed: int, folder: Path, outcome: str = "") -> None:
        """Append the start of a trial, or its outcome. Raises OSError."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        run = LedgerEntry(at, experiment, seed, folder.name, outcome)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            file.write(orjson.dumps(asdict(run), option=orjson.OPT_APPEND_NEWLINE))

    def runs(self) -> tuple[LedgerEntry, ...]:
        """Return every trial with its outcome, by start; one without an end was interrupted. Raises TrialError."""
        return tuple(_paired(self._read()))

    def _read(self) -> list[LedgerEntry]:
        try:
            # A last line without a line break was interrupted while it was written.
            return [LedgerEntry(**orjson.loads(line)) for line in self._path.read_bytes().split(b"\n")[:-1]]
        except FileNotFoundError:
            return []
        except (OSError, TypeError, ValueError) as error:
            raise TrialError(f"{self._path} is no list of trials ({error}): move it away") from error


def _paired(lines: list[LedgerEntry]) -> Iterator[LedgerEntry]:
    """Pair each end with the start before it in the same folder."""
    begun: dict[str, LedgerEntry] = {}
    found: list[LedgerEntry] = []
    for line in lines:
        if not line.outcome:
            found += [_cut_off(begun.pop(line.folder))] if line.folder in begun else []
            begun[line.folder] = line
        elif line.folder in begun:
            start = begun.pop(line.folder)
            found.append(LedgerEntry(start.at, start.experiment, start.seed, start.folder, line.outcome))
    yield from sorted([*found, *map(_cut_off, begun.values())], key=lambda run: run.at)


def _cut_off(run: LedgerEntry) -> LedgerEntry:
    return LedgerEntry(run.at, run.experiment, run.seed, run.folder, CUT_OFF)
