"""Judgement of a run in words: what became of all its orders, why some failed, and at which rate they would not."""

from collections.abc import Mapping
from dataclasses import dataclass

from observability.load.figures import SHARE_OF_CAPACITY, rounded_down
from observability.load.host_usage import HostUse
from observability.load.result import LoadSummary

# Failures of orders that come faster than they are sold. Of the others no rate is the cause.
_OF_LOAD = frozenset({"OVERLOADED", "DEADLINE_EXCEEDED", "TIMEOUT", "CIRCUIT_OPEN", "TOO_MANY_CONNECTIONS"})
# Not the platform's doing: the run was stopped.
_INTERRUPTED = "INTERRUPTED"
# Where fewer of the orders fail, the rate was kept up but for a moment.
_FELL_BEHIND = 0.1
# Of the run's seconds: less waiting for a core than this is no reason for anything.
_WORTH_A_WORD = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked of the platform.

    rate_per_second: orders due a second; None in a closed loop.
    capacity_per_second: orders a second that a closed loop sold before the run; None where that was not measured.
    """

    rate_per_second: float | None
    capacity_per_second: float | None = None


def count_orders(summary: LoadSummary) -> str:
    """List what became of the orders; the parts add up to those sent."""
    parts = [
        f"{summary.confirmed:,} sold",
        _part(summary.rejected_by_reason, "rejected"),
        f"{summary.pending:,} pending",
        _part(failures(summary), "failed"),
    ]
    return f"{summary.sent:,} orders: {', '.join(parts)}"


def failures(summary: LoadSummary) -> dict[str, int]:
    """Count orders that got an error or no answer, by reason. A rejection for want of stock is a correct answer."""
    return {**summary.errors_by_reason, **summary.transport_errors_by_reason}


def judge(summary: LoadSummary, host: HostUse, asked: Asked, *, elapsed_seconds: float) -> str:
    """Say why orders failed, and at which rate they would not; that none did, where none did."""
    failed = {reason: count for reason, count in failures(summary).items() if reason != _INTERRUPTED}
    if not failed:
        return "No order failed."
    of_load = {reason: count for reason, count in failed.items() if reason in _OF_LOAD}
    others = {reason: count for reason, count in failed.items() if reason not in _OF_LOAD}
    said = []
    if of_load:
        said.append(_too_fast(sum(of_load.values()), summary, asked, host, elapsed_seconds))
    if others:
        said.append(f"{_part(others, 'failed')} for another reason than the rate: see the services' logs.")
    return " ".join(said)


def _too_fast(count: int, summary: LoadSummary, asked: Asked, host: HostUse, elapsed_seconds: float) -> str:
    came, waited = asked.rate_per_second, _waited(host, elapsed_seconds)
    failed = f"{count:,} of {summary.sent:,} orders were turned away or given up"
    if came is None:
        done = _rate(_served(summary, elapsed_seconds))
        return (
            f"{failed} while about {done} a second were served{waited}; with fewer customers at a time none would be."
        )
    sells = asked.capacity_per_second
    if count > _FELL_BEHIND * summary.sent:
        served = _served(summary, elapsed_seconds)
        sells = served if sells is None else min(sells, served)
    elif sells is None or came <= SHARE_OF_CAPACITY * sells:
        return (
            f"{failed} in a moment when the machine had other work{waited}; nearly all of {came:g} a second were sold."
        )
    return (
        f"{failed}: this machine sells about {_rate(sells)} a second, and {came:g} came{waited}; at {_half(sells)} a"
        " second none would be."
    )


def _served(summary: LoadSummary, elapsed_seconds: float) -> float:
    """Give the orders a second that were answered rightly: those kept to be sold later and those rejected were work."""
    return (summary.sent - sum(failures(summary).values())) / elapsed_seconds


def _waited(host: HostUse, elapsed_seconds: float) -> str:
    seconds = sum(host.service_wait_seconds.values())
    return f"; its services waited {seconds:.0f} s for a core" if seconds > _WORTH_A_WORD * elapsed_seconds else ""


def _half(per_second: float) -> str:
    return f"{rounded_down(SHARE_OF_CAPACITY * per_second):g}"


def _rate(per_second: float) -> str:
    return f"{rounded_down(per_second):g}"


def _part(by_reason: Mapping[str, int], what: str) -> str:
    """Write a count, with its reasons where there are any."""
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in by_reason.items())
    return f"{sum(by_reason.values()):,} {what}" + (f" ({reasons})" if reasons else "")
