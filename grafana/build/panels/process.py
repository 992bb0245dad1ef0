"""Panels of a process: utilisation and saturation of its CPU, event loop, memory and file descriptors."""

from grafana.build.lib.panel import Limit, Panel, PanelKind, Query, Words
from grafana.build.lib.promql import bound, chosen, highest, per_second, share, total
from grafana.build.lib.quantiles import p95, percentiles
from observability.prometheus.build import thresholds

PROCESS = ("job", "instance")
LEGEND = "{{job}} {{instance}}"
LAG = "shop_event_loop_lag_seconds"
PAUSE = "shop_gc_pause_seconds"
PUNCTUAL = share(chosen(f"{LAG}_bucket", bound(thresholds.EVENT_LOOP_LATE_SECONDS)), chosen(f"{LAG}_count"), *PROCESS)

PROCESS_RATE = (
    Panel(
        21,
        "Garbage collections",
        "ops",
        Words(
            "Garbage collections a second, by process.",
            "in proportion to requests.",
            "a rise without more requests: each request allocates more.",
            "share of time in garbage collection: frequent ones may be short.",
        ),
        (Query(per_second(chosen(f"{PAUSE}_count"), *PROCESS), LEGEND),),
    ),
)
PROCESS_DURATION = (
    Panel(
        41,
        "Event-loop lag",
        "s",
        Words(
            "How late the event loop wakes a timer. Everything that runs in it is delayed as much.",
            "p95 below 10 ms.",
            "above: something blocks the loop, or the process gets too little CPU.",
            "cores used: with a busy core the loop computes, with an idle core it blocks on something.",
        ),
        percentiles(LAG),
    ),
    Panel(
        42,
        "Event-loop lag, p95 by process",
        "s",
        Words(
            "95th percentile of the event-loop lag, by process.",
            "below 10 ms.",
            "one process above the others.",
            "cores used and run queue of that process.",
        ),
        (p95(LAG, *PROCESS),),
    ),
    Panel(
        43,
        "Garbage collection pause, p95",
        "s",
        Words(
            "How long one garbage collection stops the process.",
            "below a millisecond; full collections take tens.",
            "rising with the uptime: more objects stay alive.",
            "memory: pauses grow with the number of live objects.",
        ),
        (p95(PAUSE, *PROCESS),),
    ),
)
PROCESS_SATURATION = (
    Panel(
        51,
        "Share of late wake-ups",
        "percentunit",
        Words(
            f"Share of the wake-ups of the event loop that were more than {thresholds.EVENT_LOOP_LATE_SECONDS} s late.",
            "0.",
            f"ShopEventLoopLagging fires above {thresholds.EVENT_LOOP_LAGGING.text}.",
            "run queue: it tells whether the loop waits for a core or is blocked.",
        ),
        (Query(f"1 - {PUNCTUAL}", LEGEND),),
        limits=(Limit(thresholds.EVENT_LOOP_LAGGING.limit),),
    ),
    Panel(
        52,
        "Share of time in the run queue",
        "percentunit",
        Words(
            "Share of the time in which the event loop was ready to run and had no CPU.",
            "near 0.",
            f"ShopRunQueueWaiting fires above {thresholds.RUN_QUEUE_WAITING.text}.",
            "cores used by all processes: something else on the machine uses the CPU.",
        ),
        (Query(per_second(chosen("shop_run_queue_wait_seconds_total"), *PROCESS), LEGEND),),
        limits=(Limit(thresholds.RUN_QUEUE_WAITING.limit),),
    ),
    Panel(
        53,
        "Share of time in garbage collection",
        "percentunit",
        Words(
            "Share of the time in which the process stands still for garbage collection.",
            "below 0.01.",
            "above: objects are allocated too fast, or too many stay alive.",
            "memory and garbage collections: many short ones or few long ones.",
        ),
        (Query(per_second(chosen(f"{PAUSE}_sum"), *PROCESS), LEGEND),),
    ),
)
PROCESS_RESOURCES = (
    Panel(
        61,
        "Cores used",
        "none",
        Words(
            "CPU cores that each process uses. One interpreter can use about 1.",
            f"below {thresholds.CPU_SATURATED.text}.",
            f"ShopCpuSaturated fires above {thresholds.CPU_SATURATED.text}: requests wait for the CPU.",
            "Service, use cases: more of them, or as many that cost more.",
        ),
        (Query(per_second(chosen("process_cpu_seconds_total"), *PROCESS), LEGEND),),
        limits=(Limit(thresholds.CPU_SATURATED.limit),),
        width=6,
        opens="shop-service",
    ),
    Panel(
        62,
        "Memory",
        "bytes",
        Words(
            "Resident memory of each process.",
            "flat after some minutes.",
            "a steady rise is a leak. ShopMemoryHigh fires at the line.",
            "objects that requests leave behind; the telemetry queue is bounded and is not the cause.",
        ),
        (Query(highest(chosen("process_resident_memory_bytes"), *PROCESS), LEGEND),),
        limits=(Limit(thresholds.MEMORY_HIGH.limit),),
        width=6,
    ),
    Panel(
        63,
        "Share of file descriptors in use",
        "percentunit",
        Words(
            "Open file descriptors as a share of the limit.",
            "flat and far below 1.",
            "a steady rise: connections or files leak. At 1 no connection can be opened.",
            "Dependencies, connections by state; else clients that do not close.",
        ),
        (
            Query(
                f"{total(chosen('process_open_fds'), *PROCESS)} / {total(chosen('process_max_fds'), *PROCESS)}", LEGEND
            ),
        ),
        width=6,
        opens="shop-dependencies",
    ),
    Panel(
        64,
        "Uptime",
        "s",
        Words(
            "Time since each process started.",
            "since the last release, the same for all.",
            "shorter for one: it crashed and was restarted.",
            "the last log lines before its start.",
        ),
        (Query(f"time() - {highest(chosen('process_start_time_seconds'), *PROCESS)}", LEGEND),),
        kind=PanelKind.NUMBER,
        width=6,
    ),
)
