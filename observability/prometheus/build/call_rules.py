"""Rules of circuit breakers, retries, throttling, load shedding and cold caches."""

from observability.prometheus.build import thresholds
from observability.prometheus.build.model import Alert, RuleGroup
from observability.prometheus.build.pace import Pace

SHARE = "{{ $value | humanizePercentage }}"


def call_groups(pace: Pace) -> list[RuleGroup]:
    """Return the alerts on protection at work: it limits a fault that customers notice nevertheless."""
    rules = [circuit_opened(pace), calls_repeated(pace), calls_throttled(pace), requests_shed(pace), cache_cold(pace)]
    return [RuleGroup("calls", rules)]


def circuit_opened(pace: Pace) -> Alert:
    """Return the alert on an open circuit breaker: a service no longer calls another."""
    threshold = thresholds.CIRCUIT_OPENED
    opened = f'increase(shop_circuit_breaker_transitions_total{{state="open"}}[{pace(threshold.window_seconds)}])'
    return Alert(
        name="ShopCircuitOpened",
        expression=f"sum by (context, dependency) ({opened}) > {threshold.text}",
        affects="placing",
        summary="A circuit breaker opened: a dependency fails or is too slow, and is not called for some seconds.",
        description='{{ $labels.context }} stopped calling {{ $labels.dependency }} {{ $value | printf "%.0f" }} times'
        " in five minutes.",
    )


def calls_repeated(pace: Pace) -> Alert:
    """Return the alert on the share of calls that are not the first attempt."""
    threshold = thresholds.CALLS_REPEATED
    window = pace(threshold.window_seconds)
    by = "sum by (context, rpc_method)"
    repeated = f"{by} (rate(shop_rpc_server_repeated_attempts_total[{window}]))"
    return Alert(
        name="ShopCallsRepeated",
        expression=f"{repeated} / {by} (rate(rpc_server_call_duration_seconds_count[{window}])) > {threshold.text}"
        f" and {repeated} > {thresholds.CALLS_REPEATED_LEAST_RATE}",
        for_seconds=threshold.for_seconds,
        affects="placing",
        summary="Connections break while calls are made, so that calls are repeated.",
        description=f"{SHARE} of the calls of {{{{ $labels.rpc_method }}}} to {{{{ $labels.context }}}} are repeats.",
    )


def calls_throttled(pace: Pace) -> Alert:
    """Return the alert on throttled calls: the caller does not send them, because the server rejects most."""
    threshold = thresholds.CALLS_THROTTLED
    window = pace(threshold.window_seconds)
    throttled = f'rate(shop_rpc_client_rejections_total{{reason="throttled"}}[{window}])'
    return Alert(
        name="ShopCallsThrottled",
        expression=f"sum by (context, dependency) ({throttled}) > {threshold.text}",
        for_seconds=threshold.for_seconds,
        affects="placing",
        summary="A service rejects so many calls that its caller does not make all of them.",
        description="{{ $labels.context }} does not make {{ $value | humanize }} calls a second to the overloaded"
        " {{ $labels.dependency }}.",
    )


def requests_shed(pace: Pace) -> Alert:
    """Return the alert on the share of requests that admission control rejects."""
    threshold = thresholds.REQUESTS_SHED
    window = pace(threshold.window_seconds)
    by = "sum by (context, stage)"
    shed = f'{by} (rate(shop_admission_decisions_total{{decision!="admitted"}}[{window}]))'
    return Alert(
        name="ShopRequestsShed",
        expression=f"{shed} / {by} (rate(shop_admission_decisions_total[{window}])) > {threshold.text}"
        f" and {shed} > {thresholds.REQUESTS_SHED_LEAST_RATE}",
        for_seconds=threshold.for_seconds,
        affects="placing",
        summary="A service rejects requests because it has no capacity for them.",
        description=f"{{{{ $labels.context }}}} rejects {SHARE} of its {{{{ $labels.stage }}}} requests.",
    )


def cache_cold(pace: Pace) -> Alert:
    """Return the alert on a cache with many misses whose reads keep much of a connection busy."""
    threshold = thresholds.CACHE_COLD
    window = pace(threshold.window_seconds)
    by = "sum by (context, cache)"
    asked = f'{by} (rate(shop_cache_lookups_total{{result!="shared"}}[{window}]))'
    absent = f'{by} (rate(shop_cache_lookups_total{{result=~"miss|unavailable"}}[{window}]))'
    busy = f"{by} (rate(shop_cache_source_duration_seconds_sum[{window}]))"
    return Alert(
        name="ShopCacheCold",
        expression=f"{absent} / {asked} > {threshold.text} and {busy} > {thresholds.CACHE_COLD_LEAST_BUSY}",
        for_seconds=threshold.for_seconds,
        keep_seconds=threshold.keep_seconds,
        affects="looking",
        summary="Most keys are missing from a cache, and reading them keeps the database busy.",
        description=f"{SHARE} of the keys that {{{{ $labels.context }}}} looks up are not in {{{{ $labels.cache }}}}.",
    )
