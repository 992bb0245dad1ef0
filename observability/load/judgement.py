"""Summary of a load run in words: order counts, reasons of failures, and the rate at which none would occur."""

from collections.abc import Mapping
from dataclasses import dataclass

from observability.load.host_usage import HostUse
from observability.load.result import SHARE_OF_CAPACITY, LoadSummary, rounded_down

# Failures that a too high rate causes. The others have another cause.
_OF_LOAD = frozenset({"OVERLOADED", "DEADLINE_EXCEEDED", "TIMEOUT", "CIRCUIT_OPEN", "TOO_MANY_CONNECTIONS"})
# The run was stopped; not a failure of the platform.
_INTERRUPTED = "INTERRUPTED"
# If fewer than this share of the orders fail, the platform kept up except for a moment.
_FELL_BEHIND = 0.1
# Run-queue wait below this share of the run is not worth reporting.
_NOTABLE_WAIT = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedLoad:
    """The rate that a run offered, and the platform's capacity.

    rate_per_second: orders due a second; None in a closed loop.
    capacity_per_second: orders a second that a closed loop sold before the run; None where that was not measured.
    """

    rate_per_second: float | None
    capacity_per_second: float | None = None


def count_orders(summary: LoadSummary) -> str:
    """Return the counts of the orders by outcome; they add up to the orders sent."""
    parts = [
        f"{summary.confirmed:,} sold",
        _part(summary.rejected_by_reason, "rejected"),
        f"{summary.pending:,} pending",
        _part(failures(summary), "failed"),
    ]
    return f"{summary.sent:,} orders: {', '.join(parts)}"


def failures(summary: LoadSummary) -> dict[str, int]:
    """Count the orders with an error or no answer, by reason. A rejection for lack of stock is a correct answer."""
    return {**summary.errors_by_reason, **summary.transport_errors_by_reason}


def judge(summary: LoadSummary, host: HostUse, offered: OfferedLoad, *, elapsed_seconds: float) -> str:
    """Return a sentence on why orders failed and at which rate none would, or that none failed."""
    failed = {reason: count for reason, count in failures(summary).items() if reason != _INTERRUPTED}
    if not failed:
        return "No order failed."
    of_load = {reason: count for reason, count in failed.items() if reason in _OF_LOAD}
    others = {reason: count for reason, count in failed.items() if reason not in _OF_LOAD}
    sentences = []
    if of_load:
        sentences.append(_overload(sum(of_load.values()), summary, offered, host, elapsed_seconds))
    if others:
        sentences.append(f"{_part(others, 'failed')} for another reason than the rate: see the services' logs.")
    return " ".join(sentences)


def _overload(count: int, summary: LoadSummary, offered: OfferedLoad, host: HostUse, elapsed_seconds: float) -> str:
    rate, waited = offered.rate_per_second, _waited(host, elapsed_seconds)
    failed = f"{count:,} of {summary.sent:,} orders were rejected by overload protection or timed out"
    if rate is None:
        served = _rate(_served(summary, elapsed_seconds))
        return (
            f"{failed} while about {served} a second were served{waited};"
            " with fewer concurrent customers none would be."
        )
    capacity = offered.capacity_per_second
    if count > _FELL_BEHIND * summary.sent:
        served_rate = _served(summary, elapsed_seconds)
        capacity = served_rate if capacity is None else min(capacity, served_rate)
    elif capacity is None or rate <= SHARE_OF_CAPACITY * capacity:
        return (
            f"{failed} in a moment when the machine had other work{waited}; nearly all of {rate:g} a second were sold."
        )
    return (
        f"{failed}: this machine sells about {_rate(capacity)} a second, and {rate:g} were offered{waited}; at"
        f" {_half(capacity)} a second none would be."
    )


def _served(summary: LoadSummary, elapsed_seconds: float) -> float:
    """Return the orders a second without a failure; pending and rejected ones count, since they cost work."""
    return (summary.sent - sum(failures(summary).values())) / elapsed_seconds


def _waited(host: HostUse, elapsed_seconds: float) -> str:
    seconds = sum(host.service_wait_seconds.values())
    return f"; its services waited {seconds:.0f} s for a core" if seconds > _NOTABLE_WAIT * elapsed_seconds else ""


def _half(per_second: float) -> str:
    return f"{rounded_down(SHARE_OF_CAPACITY * per_second):g}"


def _rate(per_second: float) -> str:
    return f"{rounded_down(per_second):g}"


def _part(by_reason: Mapping[str, int], what: str) -> str:
    """Return a count, with its reasons if there are any."""
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in by_reason.items())
    return f"{sum(by_reason.values()):,} {what}" + (f" ({reasons})" if reasons else "")
