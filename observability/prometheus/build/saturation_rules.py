"""Rules of saturated resources: connection pool, event loop, CPU, memory."""

from observability.prometheus.build import thresholds
from observability.prometheus.build.model import Alert, RuleGroup
from observability.prometheus.build.pace import Pace
from observability.prometheus.build.service_rules import OUR_JOBS

POOL = "{{ $labels.context }} of {{ $labels.job }}, pool {{ $labels.db_client_connection_pool_name }}"
PROCESS = "{{ $labels.job }} at {{ $labels.instance }}"


def saturation_groups(pace: Pace) -> list[RuleGroup]:
    """Return the alerts on what limits a process. All of them slow the placing of orders."""
    return [
        RuleGroup("pool", [pool_exhausted(pace), pool_waiting(pace)]),
        RuleGroup(
            "process",
            [event_loop_lagging(pace), cpu_saturated(pace), run_queue_waiting(pace), memory_high()],
        ),
    ]


def pool_exhausted(pace: Pace) -> Alert:
    """Return the alert on waits for a connection that timed out."""
    threshold = thresholds.POOL_EXHAUSTED
    window = pace(threshold.window_seconds)
    return Alert(
        name="ShopPoolExhausted",
        expression=f"rate(db_client_connection_timeouts_total[{window}]) > {threshold.text}",
        for_seconds=threshold.for_seconds,
        keep_seconds=threshold.keep_seconds,
        affects="placing",
        summary="Requests give up waiting for a database connection.",
        description=f"{POOL}: {{{{ $value | humanize }}}} requests a second give up waiting for a connection.",
    )


def pool_waiting(pace: Pace) -> Alert:
    """Return the alert on the mean wait for a connection."""
    threshold = thresholds.POOL_WAITING
    window = pace(threshold.window_seconds)
    metric = "db_client_connection_wait_time_seconds"
    count = f"rate({metric}_count[{window}])"
    return Alert(
        name="ShopPoolWaiting",
        expression=f"rate({metric}_sum[{window}]) / {count} > {threshold.text}"
        f" and {count} > {thresholds.POOL_WAITING_LEAST_RATE}",
        for_seconds=threshold.for_seconds,
        keep_seconds=threshold.keep_seconds,
        affects="placing",
        summary="Requests wait long for a database connection.",
        description=f"{POOL}: getting a connection takes {{{{ $value | humanizeDuration }}}} on average.",
    )


def event_loop_lagging(pace: Pace) -> Alert:
    """Return the alert on the share of late wake-ups."""
    threshold = thresholds.EVENT_LOOP_LAGGING
    window = pace(threshold.window_seconds)
    metric = "shop_event_loop_lag_seconds"
    late = f'{metric}_bucket{{le="{thresholds.EVENT_LOOP_LATE_SECONDS}"}}'
    count = f"rate({metric}_count[{window}])"
    return Alert(
        name="ShopEventLoopLagging",
        expression=f"1 - rate({late}[{window}]) / ignoring(le) {count} > {threshold.text}"
        f" and ignoring(le) {count} > {thresholds.EVENT_LOOP_LEAST_RATE}",
        for_seconds=threshold.for_seconds,
        keep_seconds=threshold.keep_seconds,
        affects="placing",
        summary="An event loop is late, and every request in its process waits.",
        description=f"{PROCESS}: {{{{ $value | humanizePercentage }}}} of the wake-ups of the event loop were more than"
        f" {thresholds.EVENT_LOOP_LATE_SECONDS} s late.",
    )


def cpu_saturated(pace: Pace) -> Alert:
    """Return the alert on a process that uses all of its one core."""
    threshold = thresholds.CPU_SATURATED
    window = pace(threshold.window_seconds)
    return Alert(
        name="ShopCpuSaturated",
        expression=f'rate(process_cpu_seconds_total{{job=~"{OUR_JOBS}"}}[{window}]) > {threshold.text}',
        for_seconds=threshold.for_seconds,
        keep_seconds=threshold.keep_seconds,
        affects="placing",
        summary="A service uses all of the one core that a Python process can use.",
        description=f"{PROCESS} uses {{{{ $value | humanize }}}} cores.",
    )


def run_queue_waiting(pace: Pace) -> Alert:
    """Return the alert on a process that is ready to run and gets no core."""
    threshold = thresholds.RUN_QUEUE_WAITING
    window = pace(threshold.window_seconds)
    return Alert(
        name="ShopRunQueueWaiting",
        expression=f"rate(shop_run_queue_wait_seconds_total[{window}]) > {threshold.text}",
        for_seconds=threshold.for_seconds,
        keep_seconds=threshold.keep_seconds,
        affects="placing",
        summary="A service is ready to run and gets no CPU.",
        description=f"{PROCESS} waits for a CPU {{{{ $value | humanizePercentage }}}} of the time.",
    )


def memory_high() -> Alert:
    """Return the alert on a process that holds too much memory."""
    threshold = thresholds.MEMORY_HIGH
    return Alert(
        name="ShopMemoryHigh",
        expression=f'process_resident_memory_bytes{{job=~"order|monolith"}} > {threshold.text}'
        ' or process_resident_memory_bytes{job=~"inventory|notification"}'
        f" > {thresholds.MEMORY_HIGH_OTHERS_LIMIT}",
        for_seconds=threshold.for_seconds,
        affects="placing",
        summary="A service holds more memory than it ever needs.",
        description=f"{PROCESS} holds {{{{ $value | humanize1024 }}}}B of memory.",
    )
