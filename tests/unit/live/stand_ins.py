"""HTTP server with a function for answers, and stand-ins that answer like Jaeger, Tempo and Prometheus."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from observability.live.prometheus import MOST_POINTS
from tests.unit.analysis.trace_writers import Json, jaeger_v1, tempo_batches


@dataclass(slots=True)
class Asked:
    """A request: its path, its parameters and its header fields, named in lower case."""

    path: str
    parameters: dict[str, str]
    headers: dict[str, str]


@dataclass(slots=True)
class Answer:
    """An answer: its body, status and header fields."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


Respond = Callable[[Asked], Answer]
MISSING = Answer(b"404 page not found", 404)


@contextmanager
def served(respond: Respond) -> Iterator[tuple[str, list[Asked]]]:
    """Run a server; yield its URL and the requests so far."""
    requests: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            asked = Asked(
                parts.path, dict(parse_qsl(parts.query)), {name.lower(): value for name, value in self.headers.items()}
            )
            requests.append(asked)
            answer = respond(asked)
            self.send_response(answer.status)
            for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            """Write no log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", requests
        finally:
            server.shutdown()
            thread.join()


def as_json(value: object) -> Answer:
    return Answer(json.dumps(value).encode())


def bounds_of(trace: list[Json]) -> tuple[float, float]:
    """Return when the first span of a trace begins and the last one ends, in seconds."""
    spans = [each["scopeSpans"][0]["spans"][0] for each in trace]
    start = min(int(span["startTimeUnixNano"]) for span in spans)
    return start / 1e9, max(int(span["endTimeUnixNano"]) for span in spans) / 1e9


def trace_id_of(trace: list[Json]) -> str:
    return str(trace[0]["scopeSpans"][0]["spans"][0]["traceId"])


def services_of(trace: list[Json]) -> set[str]:
    return {
        each["value"]["stringValue"]
        for resource in trace
        for each in resource["resource"]["attributes"]
        if each["key"] == "service.name"
    }


def has_service(trace: list[Json], query: str) -> bool:
    """Return whether a TraceQL query is about a service of the trace."""
    return any(f'resource.service.name = "{name}"' in query for name in services_of(trace))


def jaeger(traces: list[list[Json]]) -> Respond:
    """Answer like a Jaeger of before API v3: the latest traces first, as many as are asked for."""
    latest_first = sorted(traces, key=bounds_of, reverse=True)
    began = {id(trace): bounds_of(trace)[0] for trace in traces}

    def respond(asked: Asked) -> Answer:
        if asked.path == "/api/services":
            return as_json({"data": sorted(set().union(*map(services_of, traces)))})
        if asked.path != "/api/traces":
            return MISSING
        start, end = (int(asked.parameters[name]) / 1e6 for name in ("start", "end"))
        assert asked.parameters["raw"] == "true"
        found = [
            trace
            for trace in latest_first
            if start <= began[id(trace)] <= end and asked.parameters["service"] in services_of(trace)
        ]
        return Answer(jaeger_v1(found[: int(asked.parameters.get("limit", 20))]))

    return respond


def tempo(traces: list[list[Json]], *, gone: frozenset[str] = frozenset(), v2: bool = True) -> Respond:
    """Answer like Tempo: searches with summaries of traces, and traces by id."""
    by_id = {trace_id_of(trace): trace for trace in traces}
    names = sorted(set().union(*map(services_of, traces)))

    def respond(asked: Asked) -> Answer:
        last = asked.path.rpartition("/")[2]
        match asked.path.removesuffix(f"/{last}"):
            case "/api/v2/search/tag/resource.service.name" if v2:
                return as_json({"tagValues": [{"type": "string", "value": name} for name in names]})
            case "/api/search/tag/service.name":
                return as_json({"tagValues": names})
            case "/api" if last == "search":
                return as_json({"traces": _found(asked.parameters), "metrics": {"inspectedTraces": len(traces)}})
            case "/api/v2/traces" if v2 and last in by_id and last not in gone:
                body = json.loads(tempo_batches([by_id[last]]))
                return as_json({"trace": {"resourceSpans": body["batches"]}, "metrics": {}})
            case "/api/traces" if last in by_id and last not in gone:
                return Answer(tempo_batches([by_id[last]]))
        return MISSING

    def _found(parameters: dict[str, str]) -> list[dict[str, Any]]:
        start, end = int(parameters["start"]), int(parameters["end"])
        found = [
            {"traceID": trace_id_of(trace), "startTimeUnixNano": str(int(bounds_of(trace)[0] * 1e9))}
            for trace in traces
            if start <= bounds_of(trace)[0] <= end and has_service(trace, parameters["q"])
        ]
        return found[: int(parameters.get("limit", 20))]

    return respond


def prometheus(asked: Asked) -> Answer:
    """Answer with one pool that is named as before semantic conventions were stable, and a metric of no use."""
    if asked.path.endswith("/values"):
        return as_json({"status": "success", "data": ["db_client_connection_max", "process_cpu_seconds_total", "up"]})
    assert asked.parameters["query"] != "up"
    step, start, end = (float(asked.parameters[name]) for name in ("step", "start", "end"))
    assert (end - start) / step < MOST_POINTS
    name = asked.parameters["query"]
    metric = {"__name__": name, "job": "shop/order", "instance": 'a"b:1'}
    values = [[start, "7"], [start + step, "8"]]
    data = {"resultType": "matrix", "result": [{"metric": metric, "values": values}]}
    return as_json({"status": "success", "data": data})
