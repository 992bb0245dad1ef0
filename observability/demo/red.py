"""Rate, errors, duration of everything the services do, as tables of a report."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from observability.analysis.openmetrics import HistogramDelta, merge
from observability.analysis.quantiles import fewest_for
from observability.demo.scrapes import ScrapePair
from observability.report.demo.result import RedRow, RedTable
from observability.telemetry.rpc import SERVER_FAULTS

# Outcomes of use cases that are the platform's fault; the others are answers it should give.
_USE_CASE_FAULTS = frozenset({"INTERNAL", "CANCELLED", "UNAVAILABLE", "DEADLINE_EXCEEDED", "OVERLOADED"})
_FIRST_HTTP_ERROR = 400
_FIRST_HTTP_FAULT = 499


@dataclass(frozen=True, slots=True)
class _Kind:
    """One histogram: what names an operation, which label tells how it ended, and which ends are bad."""

    key: str
    title: str
    metric: str
    name_labels: tuple[str, ...]
    outcome_label: str | None
    is_error: Callable[[str], bool]
    is_fault: Callable[[str], bool]


_KINDS = (
    _Kind(
        key="http",
        title="REST edge",
        metric="http_server_request_duration_seconds",
        name_labels=("http_request_method", "http_route"),
        outcome_label="http_response_status_code",
        is_error=lambda status: int(status) >= _FIRST_HTTP_ERROR,
        is_fault=lambda status: int(status) >= _FIRST_HTTP_FAULT,
    ),
    _Kind(
        key="use_cases",
        title="Use cases",
        metric="shop_use_case_duration_seconds",
        name_labels=("use_case",),
        outcome_label="outcome",
        is_error=lambda outcome: outcome != "ok",
        is_fault=_USE_CASE_FAULTS.__contains__,
    ),
    *(
        _Kind(
            key=f"rpc_{side}",
            title=f"RPCs at the {side}",
            metric=f"rpc_{side}_call_duration_seconds",
            name_labels=("rpc_method",),
            outcome_label="rpc_response_status_code",
            is_error=lambda status: status != "OK",
            is_fault=SERVER_FAULTS.__contains__,
        )
        for side in ("server", "client")
    ),
    _Kind(
        key="events",
        title="Events, from their storing to their effect",
        metric="shop_event_dwell_seconds",
        name_labels=("consumer",),
        outcome_label=None,
        is_error=bool,
        is_fault=bool,
    ),
    _Kind(
        key="statements",
        title="Database statements",
        metric="db_client_operation_duration_seconds",
        name_labels=("db_query_summary",),
        outcome_label="error_type",
        is_error=bool,
        is_fault=bool,
    ),
    _Kind(
        key="pool",
        title="Waits for a database connection",
        metric="db_client_connection_wait_time_seconds",
        name_labels=(),
        outcome_label=None,
        is_error=bool,
        is_fault=bool,
    ),
)


def red_tables(scrapes: ScrapePair, *, elapsed_seconds: float) -> tuple[RedTable, ...]:
    """Make a table of each kind of operation that occurred; rates are over the seconds of the load."""
    tables = (RedTable(kind.key, kind.title, _rows(kind, scrapes, elapsed_seconds)) for kind in _KINDS)
    return tuple(table for table in tables if table.rows)


def _rows(kind: _Kind, scrapes: ScrapePair, elapsed_seconds: float) -> tuple[RedRow, ...]:
    deltas = scrapes.histogram(kind.metric)
    by = ("context", *kind.name_labels)
    return tuple(
        _row(kind, whole, [each for each in deltas if _agrees(each, whole)], elapsed_seconds)
        for whole in merge(deltas, by)
    )


def _agrees(part: HistogramDelta, whole: HistogramDelta) -> bool:
    return whole.labels.items() <= part.labels.items()


def _quantile(delta: HistogramDelta, q: float) -> float | None:
    return delta.quantile(q) if delta.count >= fewest_for(q) else None


def _row(kind: _Kind, whole: HistogramDelta, parts: Sequence[HistogramDelta], elapsed_seconds: float) -> RedRow:
    ends = {part.labels.get(kind.outcome_label or "", ""): round(part.count) for part in parts}
    return RedRow(
        component=whole.labels["context"],
        name=" ".join(whole.labels[label] for label in kind.name_labels) or "wait for a connection",
        count=round(whole.count),
        rate_per_second=whole.count / elapsed_seconds,
        errors=sum(count for end, count in ends.items() if kind.is_error(end)),
        faults=sum(count for end, count in ends.items() if kind.is_fault(end)),
        p50_seconds=_quantile(whole, 0.50),
        p95_seconds=_quantile(whole, 0.95),
        outcomes={end or "ok": count for end, count in sorted(ends.items(), key=lambda item: -item[1])},
    )
