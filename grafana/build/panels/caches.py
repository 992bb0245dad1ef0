"""What do caches spare what stands behind them? Keys by result, commands to their servers, and reads behind them."""

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
        "Keys asked of caches, by result",
        "ops",
        Words(
            "How many keys were there, how many had to be read?",
            "hits nearly all. shared: another request was reading that key just then; unavailable: the cache is away.",
            "share of keys that were not there, among the errors.",
        ),
        (Query(per_second(chosen(LOOKUPS), "context", "cache", "result"), "{{context}} {{cache}} {{result}}"),),
        width=12,
        stacked=True,
    ),
    Panel(
        26,
        "Commands to caches, by how they ended",
        "ops",
        Words(
            "Does the server of the cache answer?",
            "no legend ends in an error. CancelledError: no answer in 50 ms; CacheUnavailable: it is away or refuses.",
            "the log of that server; the cache is left alone meanwhile, so that a few errors are all there is to see.",
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
        "Share of keys that were not there",
        "percentunit",
        Words(
            "Is the cache cold?",
            f"below 0.1 in a busy shop. ShopCacheCold fires above {thresholds.CACHE_COLD.text} when the reads behind it"
            " cost something.",
            "keys asked of caches, by result: unavailable is a server that is away, miss a lifetime that is too short.",
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
        "Time in caches and behind them",
        "none",
        Words(
            "How many connections does it keep busy to read what was not in the cache, and to ask it?",
            f"well below 1; reads above {thresholds.CACHE_COLD_LEAST_BUSY} count as dear. Two at once are the most.",
            "share of keys that were not there; the dearest statements, of which such a read may be one.",
        ),
        (
            Query(per_second(chosen(f"{SOURCE}_sum"), "context", "cache"), "{{context}} {{cache}} behind"),
            Query(per_second(chosen(f"{COMMANDS}_sum"), "context", "cache"), "{{context}} {{cache}} in it"),
        ),
        width=24,
    ),
)
