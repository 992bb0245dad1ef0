"""Service level objectives of the shop, and the burn rates that raise an alert.

A request is bad when the edge answers 5xx, or answers late; 4xx are the client's mistakes. The read model is bad while
its data is old, or while no process reports its age.
"""

from dataclasses import dataclass

from observability.prometheus.build.model import Severity
from observability.prometheus.build.pace import DAY, HOUR, MINUTE

PLACING = 'http_request_method="POST",http_route="/orders"'
REQUESTS = "http_server_request_duration_seconds_count"
BUCKETS = "http_server_request_duration_seconds_bucket"

# A bound of DURATION_BUCKETS_SECONDS: nothing between two bounds can be counted.
SLOW_SECONDS = 0.5
# The relay looks ten times a second and the consumer waits at most half of one: this is trouble, not noise.
STALE_SECONDS = 30.0
# Requests a second over the long window: below, a handful of errors would be a page.
LEAST_TRAFFIC = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """A service level objective.

    name: part of the names of its recordings
    alert: name of its burn-rate alerts
    target: share that must be good, from 0 to 1
    affects: what customers notice when it is missed
    operation: last part of the recordings' names
    ratio: bad share over `$window`, recorded as shop:NAME:OPERATION and the window
    traffic: name and expression of the request rate behind the ratio; None if it does not count requests
    summary: the alerts' summary
    description: the alerts' description
    """

    name: str
    alert: str
    target: float
    affects: str
    operation: str
    ratio: str
    traffic: tuple[str, str] | None
    summary: str
    description: str

    def recorded(self, window: str) -> str:
        """Return the name of the series that holds the bad share of a window."""
        return f"shop:{self.name}:{self.operation}{window}"


@dataclass(frozen=True, slots=True)
class Burn:
    """A burn rate that raises an alert, when both windows are above it.

    factor: multiple of the rate that just uses up the error budget
    long_seconds: window that shows that the burn lasts
    short_seconds: window that shows that it still goes on
    for_seconds: how long both must hold
    severity: severity of the alert
    """

    factor: float
    long_seconds: int
    short_seconds: int
    for_seconds: int
    severity: Severity


BURNS = (
    Burn(14.4, 1 * HOUR, 5 * MINUTE, 2 * MINUTE, "critical"),
    Burn(6, 6 * HOUR, 30 * MINUTE, 15 * MINUTE, "critical"),
    Burn(3, 1 * DAY, 2 * HOUR, 1 * HOUR, "warning"),
    Burn(1, 3 * DAY, 6 * HOUR, 3 * HOUR, "warning"),
)
SHARE = "{{ $value | humanizePercentage }}"
LONG_WINDOW = "{{ $labels.long_window }}"

ORDER_ERRORS = Objective(
    name="order_placement_errors",
    alert="ShopOrderPlacementErrors",
    target=0.999,
    affects="placing",
    operation="ratio_rate",
    ratio=f'sum(rate({REQUESTS}{{{PLACING},http_response_status_code=~"5.."}}[$window]))'
    f" / sum(rate({REQUESTS}{{{PLACING}}}[$window]))",
    traffic=("order_placement_requests", f"sum(rate({REQUESTS}{{{PLACING}}}[$window]))"),
    summary="Too many orders fail: the error budget of placing orders runs out early.",
    description=f"Of the last {LONG_WINDOW}, {SHARE} of the POST /orders were answered with 5xx; 0.1 % are allowed.",
)
ANSWERED = f'{PLACING},http_response_status_code!~"5.."'
ORDER_SLOW = Objective(
    name="order_placement_slow",
    alert="ShopOrderPlacementSlow",
    target=0.99,
    affects="placing",
    operation="ratio_rate",
    ratio=f'1 - sum(rate({BUCKETS}{{{ANSWERED},le="{SLOW_SECONDS}"}}[$window]))'
    f" / sum(rate({REQUESTS}{{{ANSWERED}}}[$window]))",
    traffic=("order_placement_answers", f"sum(rate({REQUESTS}{{{ANSWERED}}}[$window]))"),
    summary="Too many orders are slow: the latency budget of placing orders runs out early.",
    description=f"Of the last {LONG_WINDOW}, {SHARE} of the answered POST /orders took longer than {SLOW_SECONDS} s;"
    " 1 % are allowed.",
)
STALE = "shop:read_model_stale:bool"
# If the series is missing while its process is a target, no consumer updates the read model.
STALE_NOW = (
    f'max(shop_consumer_lag_seconds{{consumer="order_summaries"}}) > bool {STALE_SECONDS:g}'
    ' or group(up{job=~"order|monolith"})'
)
READ_MODEL = Objective(
    name="read_model_stale",
    alert="ShopReadModelStale",
    target=0.99,
    affects="reading",
    operation="ratio_avg",
    ratio=f"avg_over_time({STALE}[$window])",
    traffic=None,
    summary="The list of orders is out of date for too long: its freshness budget runs out early.",
    description=f"Of the last {LONG_WINDOW}, the list of orders was older than {STALE_SECONDS:g} s for {SHARE};"
    " 1 % is allowed.",
)
OBJECTIVES = (ORDER_ERRORS, ORDER_SLOW, READ_MODEL)
