"""Blinding: strips build and instance attributes from an observation, so that the diagnosis cannot use them."""

from collections.abc import Sequence
from pathlib import Path

import orjson

from observability.load.goodput import DEADLINE_SECONDS, is_success
from observability.load.recorder import RequestRecord
from observability.prometheus.build.objectives import ORDER_SLOW, SLOW_SECONDS

# The diagnosis may know the services' names, but not their build or instance.
_KEPT_FROM_THE_DIAGNOSIS = frozenset({"service.version", "service.instance.id"})


def keep(
    traces: Path,
    observation: Path,
    counted: Sequence[RequestRecord],
    *,
    from_seconds: float,
    until_seconds: float,
    rate_per_second: float,
    respond_async: bool = False,
) -> None:
    """Add the blinded traces and the clients' view to an observation, then make its files read-only.

    `counted` are the orders that were due between the two times, in seconds since the Unix epoch; with `respond_async`
    a stored order counts as answered.
    """
    for path in sorted(traces.glob("traces*.jsonl")):
        with path.open("rb") as lines, (observation / path.name).open("wb") as kept:
            kept.writelines(_blinded(line) for line in lines)
    requests = {
        "from": from_seconds,
        "until": until_seconds,
        "scheduled_rate_per_second": rate_per_second,
        "latencies_seconds": [each.latency_seconds for each in counted],
        "answered": [is_success(each, respond_async=respond_async) for each in counted],
        "deadline_seconds": DEADLINE_SECONDS,
        "objective": {"seconds": SLOW_SECONDS, "share": ORDER_SLOW.target},
    }
    (observation / "requests.json").write_bytes(orjson.dumps(requests))
    for path in observation.iterdir():
        path.chmod(0o400)


def _blinded(line: bytes) -> bytes:
    """Return an export request without versions and instances; a truncated line stays a malformed line."""
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError:
        return b"{\n"
    for each in document.get("resourceSpans", ()):
        if resource := each.get("resource"):
            attributes = resource.get("attributes", ())
            resource["attributes"] = [one for one in attributes if one["key"] not in _KEPT_FROM_THE_DIAGNOSIS]
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)
