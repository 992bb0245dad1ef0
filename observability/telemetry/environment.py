"""Checks of the OTEL_* variables: empty ones are unset, and invalid ones are left out with a warning."""

import difflib
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping
from importlib.metadata import entry_points
from urllib.parse import urlsplit

_SET_BY_KUBERNETES = re.compile(
    r"_SERVICE_(HOST|PORT)(_[A-Z0-9_]+)?$|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$"
)
LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")
# Returns what is wrong with a value, in the words after "is left out: it"; None for a valid one.
Check = Callable[[str], str | None]


def settle(environ: MutableMapping[str, str]) -> list[str]:
    """Remove or correct the OTEL_* variables that the SDK would fail on; return a sentence for each of them."""
    for name in [name for name, value in environ.items() if name.startswith("OTEL_") and not value.strip()]:
        del environ[name]
    steps = (_settle_propagators, _settle_values, _settle_endpoints, _settle_batches)
    return [sentence for step in steps for sentence in step(environ)]


def unknown_settings(environ: Mapping[str, str], *, prefix: str, known: Collection[str]) -> list[str]:
    """Return a sentence for each variable with this prefix that is no setting, and so probably misspelled.

    Variables that Kubernetes sets for a Service are ignored: ORDER_SERVICE_HOST, ORDER_PORT_8080_TCP.
    """
    sentences = []
    for name in sorted(environ):
        if name.startswith(prefix) and name not in known and not _SET_BY_KUBERNETES.search(name):
            close = difflib.get_close_matches(name, known, n=1)
            guess = f"; did you mean {close[0]}?" if close else ""
            sentences.append(f"{name}: there is no such setting{guess}")
    return sentences


def protocol_of(environ: Mapping[str, str]) -> str:
    """Return the protocol of the span exporter: http/protobuf or grpc."""
    shared = environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    return environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", shared).lower()


def keep_proxies_off_this_machine(environ: MutableMapping[str, str]) -> None:
    """Add the loopback addresses to NO_PROXY, so that exporters reach an endpoint on this machine directly."""
    for name in ("no_proxy", "NO_PROXY"):
        given = [host.strip() for host in environ.get(name, "").split(",") if host.strip()]
        environ[name] = ",".join([*given, *(host for host in LOCAL_HOSTS if host not in given)])


def _one_of(*values: str) -> Check:
    return lambda value: None if value.lower() in values else f"must be {_listed(values)}"


def _whole_number(least: int) -> Check:
    def check(value: str) -> str | None:
        return None if re.fullmatch(r"\d{1,9}", value) and int(value) >= least else f"must be a number from {least} on"

    return check


def _seconds(value: str) -> str | None:
    try:
        is_good = 0 < float(value) < math.inf
    except ValueError:
        is_good = False
    return None if is_good else "must be a number of seconds above 0"


def _share(value: str) -> str | None:
    try:
        is_good = 0 <= float(value) <= 1
    except ValueError:
        is_good = False
    return None if is_good else "must be a number from 0 to 1"


def _is_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


PROTOCOL = _one_of("http/protobuf", "grpc")
COMPRESSION = _one_of("gzip", "none")
CHECKS: Mapping[str, Check] = {
    "PLUMB_TELEMETRY_SDK": _one_of("lean", "stock"),
    "OTEL_SDK_DISABLED": _one_of("true", "false"),
    "OTEL_TRACES_EXPORTER": _one_of("otlp", "console", "none"),
    "OTEL_METRICS_EXPORTER": _one_of("prometheus", "none"),
    "OTEL_LOGS_EXPORTER": _one_of("console", "none"),
    "OTEL_TRACES_SAMPLER": _one_of(
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
    ),
    "OTEL_TRACES_SAMPLER_ARG": _share,
    "OTEL_BSP_MAX_QUEUE_SIZE": _whole_number(1),
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": _whole_number(1),
    "OTEL_BSP_SCHEDULE_DELAY": _whole_number(1),
    "OTEL_BSP_EXPORT_TIMEOUT": _whole_number(0),
    "OTEL_ATTRIBUTE_COUNT_LIMIT": _whole_number(0),
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": _whole_number(0),
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": _whole_number(0),
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": _whole_number(0),
    "OTEL_SPAN_EVENT_COUNT_LIMIT": _whole_number(0),
    "OTEL_SPAN_LINK_COUNT_LIMIT": _whole_number(0),
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT": _whole_number(0),
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT": _whole_number(0),
} | {
    f"OTEL_EXPORTER_OTLP_{signal}{name}": check
    for signal in ("", "TRACES_")
    for name, check in (
        ("PROTOCOL", PROTOCOL),
        ("COMPRESSION", COMPRESSION),
        ("TIMEOUT", _seconds),
        ("INSECURE", _one_of("true", "false")),
    )
}


def _settle_values(environ: MutableMapping[str, str]) -> Iterator[str]:
    for name in CHECKS.keys() & environ.keys():
        environ[name] = environ[name].strip()
        if problem := CHECKS[name](environ[name]):
            yield f"{name}={environ.pop(name)} is left out: it {problem}"
        elif CHECKS[name] is COMPRESSION and environ[name].lower() == "none":
            # The gRPC exporter does not accept "none", and does not compress by default.
            del environ[name]


def _settle_endpoints(environ: MutableMapping[str, str]) -> Iterator[str]:
    """Leave out endpoints that are no URL; gRPC also accepts other forms of addresses."""
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        value = environ.get(name, "").strip()
        if value and not _is_url(value) and (protocol_of(environ) != "grpc" or "://" in value):
            yield f"{name}={environ.pop(name)} is left out: it must be an http:// or https:// URL"


def _settle_batches(environ: MutableMapping[str, str]) -> Iterator[str]:
    """Limit the batch size to the queue size: the SDK's default batch does not fit a smaller queue."""
    queue_size = environ.get("OTEL_BSP_MAX_QUEUE_SIZE", "8192")
    batch_size = environ.get("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "512")
    if int(batch_size) > int(queue_size):
        if "OTEL_BSP_MAX_EXPORT_BATCH_SIZE" in environ:
            yield f"OTEL_BSP_MAX_EXPORT_BATCH_SIZE={batch_size} is more than the queue holds: it is {queue_size}"
        environ["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"] = queue_size


def _settle_propagators(environ: MutableMapping[str, str]) -> Iterator[str]:
    """Leave out propagators that are not installed: the import of OpenTelemetry fails for them."""
    name = "OTEL_PROPAGATORS"
    if name not in environ:
        return
    given = [each.strip().lower() for each in environ[name].split(",") if each.strip()]
    known = {*entry_points(group="opentelemetry_propagator").names, "none"}
    kept = list(dict.fromkeys(each for each in given if each in known))
    for missing in sorted(set(given) - known):
        yield f"{name}={missing} is left out: there is {_listed(sorted(known))}"
    if kept:
        environ[name] = ",".join(kept)
    else:
        del environ[name]


def _listed(values: "tuple[str, ...] | list[str]") -> str:
    return ", ".join(values[:-1]) + f" or {values[-1]}"
