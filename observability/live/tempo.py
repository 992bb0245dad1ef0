"""Tempo client: lists services, searches the trace ids of a time slice, and downloads these traces."""

import json
import math

from observability.live.http_client import ReadOnlyClient, SourceFailed
from observability.live.time_slices import SliceAnswer, TimeSlice
from observability.live.trace_ids import trace_ids_in

# Without a limit a search returns 20 traces: the first that it finds, which are no random sample.
_MOST_TRACES = 500
_PARTIAL = "PARTIAL"


class TempoSource:
    """A Tempo at a URL, its query frontend."""

    kind = "Tempo"
    # Tempo's searches take start and end in whole seconds.
    shortest_seconds = 1.0

    def __init__(self, url: str, client: ReadOnlyClient) -> None:
        self.url = url
        self._client = client
        self._by_id = "api/v2/traces"

    def services(self) -> list[str]:
        """Return the names of all services. Raises SourceFailed."""
        for path in ("api/v2/search/tag/resource.service.name/values", "api/search/tag/service.name/values"):
            answer = self._client.get_json(f"{self.url}/{path}")
            values = answer.get("tagValues") if isinstance(answer, dict) else None
            if isinstance(values, list):
                return sorted(str(each["value"] if isinstance(each, dict) else each) for each in values)
        raise SourceFailed(f"{self.url} does not answer like Tempo")

    def fetch(self, part: TimeSlice, service: str, operation: str) -> SliceAnswer:
        """Return the traces with a span of the service in a slice. Raises as ReadOnlyClient.get does."""
        bounds = {"start": math.floor(part.start), "end": math.ceil(part.end)}
        conditions = [f"resource.service.name = {json.dumps(service)}"]
        conditions += [f"name = {json.dumps(operation)}"] if operation else []
        query = {"q": f"{{ {' && '.join(conditions)} }}", "limit": _MOST_TRACES, "spss": 1, **bounds}
        answer = self._client.get_json(f"{self.url}/api/search", query)
        found = answer.get("traces") or [] if isinstance(answer, dict) else None
        if not isinstance(found, list):
            raise SourceFailed(f"{self.url} does not answer like Tempo")
        if len(found) >= _MOST_TRACES:
            return SliceAnswer(is_full=True)
        traces = {trace_id: self._trace(trace_id) for each in found if (trace_id := str(each.get("traceID")))}
        pages = [page for page in traces.values() if page is not None]
        ids: frozenset[str] = frozenset().union(*map(trace_ids_in, pages))
        return SliceAnswer(tuple(pages), ids, missing_ids=frozenset(each for each in traces if traces[each] is None))

    def _trace(self, trace_id: str) -> bytes | None:
        """Return a trace; None when it is gone, or too large for Tempo to return it in full."""
        page = self._client.get(f"{self.url}/{self._by_id}/{trace_id}")
        if page is None and self._by_id != "api/traces":
            page = self._client.get(f"{self.url}/api/traces/{trace_id}")
            if page is not None:
                self._by_id = "api/traces"
        return None if page is None or f'"status":"{_PARTIAL}"'.encode() in page.replace(b" ", b"")[-1000:] else page
