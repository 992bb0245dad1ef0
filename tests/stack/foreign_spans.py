"""Spans of a foreign program as OTLP JSON, with attributes that our allow-list does not have."""

import json
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any

SEND_SECONDS = 60.0
OK, ERROR = 1, 2
SERVER, CLIENT = 2, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignSpan:
    """A span, all of whose texts the sender chose."""

    name: str = "GET /things"
    service: str = "foreign"
    kind: int = SERVER
    duration_seconds: float = 0.01
    status: int = OK
    message: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    resource: Mapping[str, str] = field(default_factory=dict)
    event_attributes: Mapping[str, str] = field(default_factory=dict)
    trace_state: str = ""
    trace_id: str = field(default_factory=lambda: token_hex(16))

    def otlp(self) -> dict[str, Any]:
        """Return the span as one resource of an OTLP request."""
        end = time.time_ns()
        span = {
            "traceId": self.trace_id,
            "spanId": token_hex(8),
            "traceState": self.trace_state,
            "name": self.name,
            "kind": self.kind,
            "startTimeUnixNano": str(end - int(self.duration_seconds * 1e9)),
            "endTimeUnixNano": str(end),
            "attributes": _pairs(self.attributes),
            "events": [{"timeUnixNano": str(end), "name": "exception", "attributes": _pairs(self.event_attributes)}],
            "status": {"code": self.status, "message": self.message},
        }
        resource = _pairs({"service.name": self.service, **self.resource})
        return {"resource": {"attributes": resource}, "scopeSpans": [{"scope": {"name": "hand"}, "spans": [span]}]}


def send(otlp_http: str, spans: Sequence[ForeignSpan]) -> None:
    """Send spans in one request; raises OSError when it is refused."""
    body = json.dumps({"resourceSpans": [span.otlp() for span in spans]}).encode()
    request = urllib.request.Request(
        f"http://{otlp_http}/v1/traces", data=body, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=SEND_SECONDS) as answer:
        answer.read()


def _pairs(values: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"key": key, "value": {"stringValue": value}} for key, value in values.items()]
