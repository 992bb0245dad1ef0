"""Is a process out of something? Utilisation and saturation of its processor, event loop, memory and files."""

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
            "How often does the interpreter look for garbage?",
            "in proportion to requests.",
            "share of time in collections: frequent ones may be short.",
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
            "How late does the event loop wake who is due? All that runs in it is as late.",
            "p95 below 10 ms.",
            "cores used: a busy loop with a busy core computes, with an idle core it blocks on something.",
        ),
        percentiles(LAG),
    ),
    Panel(
        42,
        "Event-loop lag, p95 by process",
        "s",
        Words(
            "Whose event loop is late?",
            "p95 below 10 ms.",
            "cores used and run queue of that process.",
        ),
        (p95(LAG, *PROCESS),),
    ),
    Panel(
        43,
        "Pause of a collection, p95",
        "s",
        Words(
            "How long does a garbage collection hold everything up?",
            "below a millisecond; full collections take tens.",
            "memory: pauses grow with what is kept.",
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
            f"How often is the event loop late by more than {thresholds.EVENT_LOOP_LATE_SECONDS} s?",
            f"0. ShopEventLoopLagging fires above {thresholds.EVENT_LOOP_LAGGING.text}.",
            "run queue: whether the loop waits for a core, or something holds the loop.",
        ),
        (Query(f"1 - {PUNCTUAL}", LEGEND),),
        limits=(Limit(thresholds.EVENT_LOOP_LAGGING.limit),),
    ),
    Panel(
        52,
        "Share of time in the run queue",
        "percentunit",
        Words(
            "How much of the time could the event loop run and had no processor?",
            f"near 0. ShopRunQueueWaiting fires above {thresholds.RUN_QUEUE_WAITING.text}.",
            "cores used by all processes: something else on the machine has the processor.",
        ),
        (Query(per_second(chosen("shop_run_queue_wait_seconds_total"), *PROCESS), LEGEND),),
        limits=(Limit(thresholds.RUN_QUEUE_WAITING.limit),),
    ),
    Panel(
        53,
        "Share of time in collections",
        "percentunit",
        Words(
            "How much of the time stands everything still for garbage?",
            "below 0.01.",
            "memory, and garbage collections: many small ones or few long ones.",
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
            "Does a process use its core up?",
            f"below {thresholds.CPU_SATURATED.text}, where ShopCpuSaturated fires; an interpreter can use about 1.",
            "Service, use cases: more of them, or the same number and dearer.",
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
            "Does a process grow?",
            "flat after some minutes. ShopMemoryHigh fires at the line.",
            "what is kept for each request; the telemetry queue is bounded and is not it.",
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
            "Does a process leak connections or files?",
            "flat and far below 1.",
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
        "Running for",
        "s",
        Words(
            "When did a process start?",
            "long ago, and all at the last release; a short one has crashed.",
            "the last log lines before its start.",
        ),
        (Query(f"time() - {highest(chosen('process_start_time_seconds'), *PROCESS)}", LEGEND),),
        kind=PanelKind.NUMBER,
        width=6,
    ),
)
