"""Client of Jaeger's HTTP API, and a real Jaeger on free ports."""

import json
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.stack import programs
from tests.stack.processes import HOST, answers, free_port, get, running

CONFIGURATION = programs.ROOT / "compose/jaeger.yaml"
LIMIT = 1500


@dataclass(frozen=True, slots=True)
class Jaeger:
    """A running Jaeger: where spans go, the address of its API, and its process."""

    query: str
    otlp: str = ""
    pid: int = 0

    def ask(self, path: str, **parameters: object) -> Any:
        """Return the data of an answer."""
        return json.loads(get(f"http://{self.query}/api/{path}?{urllib.parse.urlencode(parameters)}"))["data"]

    def search(self, service: str, **parameters: object) -> dict[str, list[dict[str, Any]]]:
        """Return the spans of each trace found, by trace id. Parameters: operation, tags, minDuration, maxDuration."""
        found = self.ask("traces", service=service, limit=LIMIT, lookback="1h", **parameters)
        return {trace["traceID"]: trace["spans"] for trace in found}

    def text(self, trace_id: str) -> str:
        """Return all that Jaeger tells of a trace, its processes included."""
        return json.dumps(self.ask(f"traces/{trace_id}"))

    def trace(self, trace_id: str) -> list[tuple[str, str]]:
        """Return each span of a trace as (service, operation); empty when it is not there."""
        try:
            found = self.ask(f"traces/{trace_id}")
        except OSError:
            return []
        return [
            (trace["processes"][span["processID"]]["serviceName"], span["operationName"])
            for trace in found
            for span in trace["spans"]
        ]


@contextmanager
def jaeger(folder: Path) -> Iterator[Jaeger]:
    """Run the real Jaeger with the configuration of docker compose."""
    ports = {
        name: str(free_port())
        for name in (
            "JAEGER_OTLP_PORT",
            "JAEGER_QUERY_PORT",
            "JAEGER_QUERY_GRPC_PORT",
            "JAEGER_HEALTH_PORT",
            "JAEGER_METRICS_PORT",
        )
    }
    with running(
        [programs.jaeger(), f"--config={CONFIGURATION}"],
        log=folder / "jaeger.log",
        ready=lambda: answers(f"http://{HOST}:{ports['JAEGER_HEALTH_PORT']}/status"),
        environment={"JAEGER_LISTEN": HOST, "OTEL_TRACES_SAMPLER": "always_off", **ports},
    ) as process:
        addresses = {"query": f"{HOST}:{ports['JAEGER_QUERY_PORT']}", "otlp": f"{HOST}:{ports['JAEGER_OTLP_PORT']}"}
        yield Jaeger(**addresses, pid=process.pid)
