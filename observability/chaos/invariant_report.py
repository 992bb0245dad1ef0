"""Invariant report of a quiescent shop: its invariants, history, deliveries and logs."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from observability.chaos.consistency_checker import check_lists_are_current, find_contradictions
from observability.chaos.database_snapshot import read_deliveries, read_noise, read_orders
from observability.chaos.history import Delivered, History
from observability.invariants.quiescence import QUIET_SECONDS, NotQuiet, wait_for_quiet
from observability.invariants.target import InvariantChecks
from observability.invariants.verification import verify
from observability.testbed.process_group import ProcessGroup

MOST_LISTED = 50
HELD = frozenset({"PENDING", "CONFIRMED"})


@dataclass(frozen=True, slots=True)
class InvariantReport:
    """Result of all checks.

    violations: a sentence for each; empty if all is right.
    invariants: counts and violations of each invariant.
    orders: number of orders by state.
    quiet_seconds: time until the platform was quiescent.
    """

    violations: tuple[str, ...]
    invariants: dict[str, Any]
    orders: dict[str, int]
    quiet_seconds: float


async def examine(group: ProcessGroup, history: History) -> InvariantReport:
    """Wait until nothing is in flight, then run all checks; the load must have stopped."""
    target = group.verify_target()
    found: list[str] = []
    quiet_seconds = QUIET_SECONDS
    try:
        quiet_seconds = await wait_for_quiet(target, timeout_seconds=QUIET_SECONDS)
    except NotQuiet as error:
        found.append(str(error))
    noise = await read_noise(target.databases["inventory"], history.noise_ids)
    found += (f"reservation {key} without an order is {state}" for key, state in noise.items() if state in HELD)
    checked = without_noise(await verify(target), noise.keys())
    found += sentences_of(checked)
    orders = await read_orders(target.databases, since=history.began_time)
    found += find_contradictions(history.exchanges, orders)
    found += check_lists_are_current(history.listings)
    found += check_deliveries(history.deliveries, await read_deliveries(target.databases["inventory"]))
    found += logged_errors(group.options.folder / "logs")
    states = dict(sorted(Counter(order.state for order in orders).items()))
    return InvariantReport(tuple(found[:MOST_LISTED]), as_document(checked), states, quiet_seconds)


def without_noise(checked: InvariantChecks, noise: AbstractSet[str]) -> InvariantChecks:
    """Return the checks without I5's violations by reservations that the workload made without an order.

    I5 reports each of them once, so its other violations remain.
    """
    return InvariantChecks(
        tuple(
            replace(
                check,
                violations=tuple(each for each in check.violations if not noise & set(each.split())),
                violation_count=check.violation_count - len(noise),
            )
            if check.name == "I5"
            else check
            for check in checked.checks
        )
    )


def sentences_of(checked: InvariantChecks) -> Iterator[str]:
    """Yield a sentence for each listed violation, and one for the number of those not listed."""
    for check in checked.checks:
        yield from (f"{check.name}: {sentence}" for sentence in check.violations)
        if unlisted := check.violation_count - len(check.violations):
            yield f"{check.name}: and {unlisted} more"


def check_deliveries(requested: Sequence[Delivered], ledger: Sequence[Delivered]) -> Iterator[str]:
    """Check that each requested delivery is in the ledger once, and no other is."""
    expected, stored = Counter(requested), Counter(ledger)
    for delivered, count in (expected - stored).items():
        yield f"{count} deliveries of {delivered.quantity} {delivered.sku} under {delivered.request_id} are lost"
    for delivered, count in (stored - expected).items():
        yield f"{count} deliveries of {delivered.quantity} {delivered.sku} under {delivered.request_id} are too many"


def logged_errors(folder: Path) -> Iterator[str]:
    """Check that no process logged an error: a killed process logs none, so each is a bug."""
    for path in sorted(folder.glob("*.log")):
        if path.stem.partition("-")[0] in {"postgres", "initdb", "nats", "valkey", "receiver"}:
            continue
        with path.open(errors="replace") as lines:
            for line in lines:
                if message := error_in(line):
                    yield f"{path.stem} logged {message}"


def error_in(line: str) -> str:
    """Return the error in a line of a log; "" for a line without an error, or cut off by a kill."""
    try:
        document = json.loads(line)
    except ValueError:
        return line.strip() if line.startswith("Traceback") else ""
    if not isinstance(document, dict) or document.get("level") not in {"error", "critical"}:
        return ""
    last = str(document.get("exception", "")).strip().splitlines()[-1:]
    return " ".join([str(document.get("event")), *last])


def as_document(checked: InvariantChecks) -> dict[str, Any]:
    """Return a document: by invariant, the rows counted and the violations."""
    return {
        check.name: {"counted": check.counted, "violations": check.violation_count, "listed": list(check.violations)}
        for check in checked.checks
    }


def write_evidence(examination: InvariantReport, history: History, folder: Path) -> None:
    """Write the report and the history beside the logs."""
    (folder / "examination.json").write_text(json.dumps(asdict(examination), indent=2) + "\n")
    history.write(folder / "history.jsonl")
