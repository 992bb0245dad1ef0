"""Jaeger: lists services and downloads the traces of a slice, through API v3, or v1 where v3 is missing."""

from datetime import UTC, datetime

from observability.live.http_client import ReadOnlyClient, SourceFailed
from observability.live.time_slices import SliceAnswer, TimeSlice
from observability.live.trace_ids import trace_ids_in

_MOST_TRACES = 200


class JaegerSource:
    """A Jaeger at a URL. Every answer has unchanged times: without `raw` Jaeger moves spans where clocks differ."""

    kind = "Jaeger"
    shortest_seconds = 0.01

    def __init__(self, url: str, client: ReadOnlyClient) -> None:
        self.url = url
        self._client = client
        self._has_v3 = True

    def services(self) -> list[str]:
        """Return the names of all services. Raises SourceFailed."""
        answer = self._client.get_json(f"{self.url}/api/v3/services")
        self._has_v3 = isinstance(answer, dict)
        found = answer.get("services", []) if isinstance(answer, dict) else self._services_of_v1()
        if not isinstance(found, list):
            raise SourceFailed(f"{self.url} does not answer like Jaeger")
        return sorted(map(str, found))

    def fetch(self, part: TimeSlice, service: str, operation: str) -> SliceAnswer:
        """Return the traces with a span of the service in a slice. Raises as ReadOnlyClient.get does."""
        page = self._client.get(*(self._v3 if self._has_v3 else self._v1)(part, service, operation))
        # Both versions answer 404 when nothing is found.
        found = trace_ids_in(page) if page else frozenset()
        return SliceAnswer((page,) if page and found else (), found, is_full=len(found) >= _MOST_TRACES)

    def _services_of_v1(self) -> object:
        answer = self._client.get_json(f"{self.url}/api/services")
        return answer.get("data") if isinstance(answer, dict) else None

    def _v3(self, part: TimeSlice, service: str, operation: str) -> tuple[str, dict[str, object]]:
        return f"{self.url}/api/v3/traces", {
            "query.service_name": service,
            **({"query.operation_name": operation} if operation else {}),
            "query.start_time_min": _rfc3339(part.start),
            "query.start_time_max": _rfc3339(part.end),
            # The name differs between versions; each ignores the others.
            "query.num_traces": _MOST_TRACES,
            "query.search_depth": _MOST_TRACES,
            "query.searchDepth": _MOST_TRACES,
            "query.raw_traces": "true",
        }

    def _v1(self, part: TimeSlice, service: str, operation: str) -> tuple[str, dict[str, object]]:
        return f"{self.url}/api/traces", {
            "service": service,
            **({"operation": operation} if operation else {}),
            "start": round(part.start * 1e6),
            "end": round(part.end * 1e6),
            "limit": _MOST_TRACES,
            "raw": "true",
        }


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
