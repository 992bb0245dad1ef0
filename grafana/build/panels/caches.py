"""Panels of the caches: lookups by result, commands to their servers, reads of missing keys."""

from grafana.build.lib.panel import Limit, Panel, Query, Words
from grafana.build.lib.promql import chosen, per_second, share
from observability.prometheus.build import thresholds

LOOKUPS = "shop_cache_lookups_total"
COMMANDS = "shop_cache_operation_duration_seconds"
SOURCE = "shop_cache_source_duration_seconds"
NOT_THERE = 'result=~"miss|unavailable"'

CACHE_RATE = (
    Panel(
        25,
        "Cache lookups by result",
        "ops",
        Words(
            "Keys looked up in each cache, a second, by result.",
            "nearly all hit. shared: another request was reading that key just then.",
            "many misses: the cache is cold or its lifetimes are too short. unavailable: its server cannot be reached.",
            "share of cache misses, among the errors.",
        ),
        (Query(per_second(chosen(LOOKUPS), "context", "cache", "result"), "{{context}} {{cache}} {{result}}"),),
        width=12,
        stacked=True,
    ),
    Panel(
        26,
        "Cache commands by result",
        "ops",
        Words(
            "Commands sent to the server of each cache, by error: none, or the name at the end of the legend.",
            "no legend ends in an error.",
            "CancelledError: no answer within 50 ms. CacheUnavailable: the server is down or rejects commands. A few"
            " errors are all you see, because the services stop using the cache for a while.",
            "the log of that server.",
        ),
        (
            Query(
                per_second(chosen(f"{COMMANDS}_count"), "context", "cache", "operation", "error_type"),
                "{{context}} {{cache}} {{operation}} {{error_type}}",
            ),
        ),
        width=12,
    ),
)
CACHE_ERRORS = (
    Panel(
        39,
        "Share of cache misses",
        "percentunit",
        Words(
            "Share of looked-up keys that were missing or that an unavailable cache could not give.",
            "below 0.1 in a busy shop.",
            f"near 1. ShopCacheCold fires above {thresholds.CACHE_COLD.text} when the reads behind the cache are"
            " expensive.",
            "cache lookups by result: unavailable means the server is down, miss means lifetimes that are too short.",
        ),
        (
            Query(
                share(chosen(LOOKUPS, NOT_THERE), chosen(LOOKUPS, 'result!="shared"'), "context", "cache"),
                "{{context}} {{cache}}",
            ),
        ),
        limits=(Limit(thresholds.CACHE_COLD.limit),),
        width=24,
    ),
)
CACHE_SATURATION = (
    Panel(
        59,
        "Time in caches and in the reads behind them",
        "none",
        Words(
            "Seconds a second spent on cache commands and on reading missing keys: connections kept busy on average.",
            "well below 1.",
            f"reads above {thresholds.CACHE_COLD_LEAST_BUSY} count as expensive for ShopCacheCold; a process runs"
            " two at most.",
            "share of cache misses; time in statements, of which such a read may be one.",
        ),
        (
            Query(per_second(chosen(f"{SOURCE}_sum"), "context", "cache"), "{{context}} {{cache}} behind"),
            Query(per_second(chosen(f"{COMMANDS}_sum"), "context", "cache"), "{{context}} {{cache}} in it"),
        ),
        width=24,
    ),
)
