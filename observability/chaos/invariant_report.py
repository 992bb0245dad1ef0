"""Examination of a shop that has come to rest: its invariants, history, deliveries and logs."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from observability.chaos.consistency_checker import contradictions, listed_otherwise
from observability.chaos.database_snapshot import read_deliveries, read_noise, read_orders
from observability.chaos.history import Delivered, History
from observability.invariants.quiescence import NotQuiet, wait_for_quiet
from observability.invariants.target import InvariantVerdict
from observability.invariants.verification import verify
from observability.testbed.process_group import ProcessGroup

QUIET_SECONDS = 60.0
MOST_TOLD = 50
HELD = frozenset({"PENDING", "CONFIRMED"})


@dataclass(frozen=True, slots=True)
class InvariantReport:
    """What was found, as sentences; none is the answer to hope for. `verdict` has what was counted."""

    violations: tuple[str, ...]
    verdict: dict[str, Any]
    orders: dict[str, int]
    quiet_seconds: float


async def examine(group: ProcessGroup, history: History) -> InvariantReport:
    """Wait until nothing is in flight, then look at everything; the load must have stopped."""
    target = group.verify_target()
    found: list[str] = []
    quiet_seconds = QUIET_SECONDS
    try:
        quiet_seconds = await wait_for_quiet(target, timeout_seconds=QUIET_SECONDS)
    except NotQuiet as error:
        found.append(str(error))
    noise = await read_noise(target.databases["inventory"], history.noise_ids)
    found += (f"reservation {key} of nobody is {state}" for key, state in noise.items() if state in HELD)
    verdict = without_noise(await verify(target), noise.keys())
    found += told(verdict)
    orders = await read_orders(target.databases, since=history.began_time)
    found += contradictions(history.exchanges, orders)
    found += listed_otherwise(history.listings)
    found += deliveries_otherwise(history.deliveries, await read_deliveries(target.databases["inventory"]))
    found += errors_told(group.options.folder / "logs")
    states = dict(sorted(Counter(order.state for order in orders).items()))
    return InvariantReport(tuple(found[:MOST_TOLD]), as_document(verdict), states, quiet_seconds)


def without_noise(verdict: InvariantVerdict, noise: AbstractSet[str]) -> InvariantVerdict:
    """Return a verdict that does not complain of reservations which were made for no order on purpose.

    I5 tells of each of them once, so what it counts beyond them is something else, told or not.
    """
    return InvariantVerdict(
        tuple(
            replace(
                check,
                violations=tuple(said for said in check.violations if not noise & set(said.split())),
                violation_count=check.violation_count - len(noise),
            )
            if check.name == "I5"
            else check
            for check in verdict.checks
        )
    )


def told(verdict: InvariantVerdict) -> Iterator[str]:
    """Return what is violated, and how much of it is not told."""
    for check in verdict.checks:
        yield from (f"{check.name}: {sentence}" for sentence in check.violations)
        if untold := check.violation_count - len(check.violations):
            yield f"{check.name}: and {untold} more"


def deliveries_otherwise(asked: Sequence[Delivered], ledger: Sequence[Delivered]) -> Iterator[str]:
    """Each delivery stands in the ledger once, as it was asked for, and no other does."""
    wanted, there = Counter(asked), Counter(ledger)
    for delivered, count in (wanted - there).items():
        yield f"{count} deliveries of {delivered.quantity} {delivered.sku} under {delivered.request_id} are lost"
    for delivered, count in (there - wanted).items():
        yield f"{count} deliveries of {delivered.quantity} {delivered.sku} under {delivered.request_id} are too many"


def errors_told(folder: Path) -> Iterator[str]:
    """A process that is killed has no chance to complain; what one does write as an error is a bug."""
    for path in sorted(folder.glob("*.log")):
        if path.stem in {"postgres", "initdb", "nats-server", "valkey-server", "receiver"}:
            continue
        with path.open(errors="replace") as lines:
            for line in lines:
                if said := error_in(line):
                    yield f"{path.stem} says {said}"


def error_in(line: str) -> str:
    """Return what is wrong in a line of a log: "" for one that is no error, or was cut off by a kill."""
    try:
        document = json.loads(line)
    except ValueError:
        return line.strip() if line.startswith("Traceback") else ""
    if not isinstance(document, dict) or document.get("level") not in {"error", "critical"}:
        return ""
    last = str(document.get("exception", "")).strip().splitlines()[-1:]
    return " ".join([str(document.get("event")), *last])


def as_document(verdict: InvariantVerdict) -> dict[str, Any]:
    """Return a verdict as it is written: per invariant what was counted and how much of it is wrong."""
    return {
        check.name: {"counted": check.counted, "violations": check.violation_count, "told": list(check.violations)}
        for check in verdict.checks
    }


def keep_evidence(examination: InvariantReport, history: History, folder: Path) -> None:
    """Write what was found and all that was asked beside the logs."""
    (folder / "examination.json").write_text(json.dumps(asdict(examination), indent=2) + "\n")
    history.write(folder / "history.jsonl")
