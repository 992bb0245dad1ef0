"""Real Collector with the committed configuration, and with addresses of this machine put in."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.stack import programs
from tests.stack.processes import HOST, free_port, get, running

FOLDER = programs.ROOT / "observability/collector"
CONFIGURATION = FOLDER / "config.yaml"
SAMPLED = FOLDER / "config-sampled.yaml"
TO_FILE = FOLDER / "config-file.yaml"


@dataclass(frozen=True, slots=True)
class Collector:
    """A running Collector: where spans and log lines go, and the address of its own metrics."""

    otlp_http: str
    otlp_grpc: str
    metrics: str
    span_metrics: str
    log_folder: Path
    output: Path

    def counted(self, name: str) -> float:
        """Return the sum of one of its own counters."""
        return total(get(f"http://{self.metrics}/metrics").decode(), name)

    def span_metric(self, name: str, **labels: str) -> float:
        """Return the sum of a metric made of spans, over the series that have these labels."""
        return total(get(f"http://{self.span_metrics}/metrics").decode(), name, **labels)


def total(exposition: str, name: str, **labels: str) -> float:
    """Return the sum of a metric's samples in a text of Prometheus; its name may end in `_total`."""
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    lines = re.findall(rf"^{name}(?:_total)?(?:{{(.*)}})? ([^ \n]+)", exposition, flags=re.MULTILINE)
    return sum(float(value) for found, value in lines if all(pair in found for pair in wanted))


@contextmanager
def collector(
    folder: Path,
    *overlays: Path,
    jaeger: str = f"{HOST}:1",
    loki: str = f"http://{HOST}:1/otlp",
    more: Mapping[str, str] | None = None,
) -> Iterator[Collector]:
    """Run the built Collector with the committed configuration and these overlays."""
    logs = folder / "logs"
    logs.mkdir()
    grpc, http, metrics, span_metrics = (f"{HOST}:{free_port()}" for _ in range(4))
    environment = {
        "COLLECTOR_OTLP_GRPC": grpc,
        "COLLECTOR_OTLP_HTTP": http,
        "COLLECTOR_SPAN_METRICS": span_metrics,
        "COLLECTOR_METRICS_HOST": HOST,
        "COLLECTOR_METRICS_PORT": metrics.rpartition(":")[2],
        "COLLECTOR_LOG_FOLDER": str(logs),
        "COLLECTOR_JAEGER": jaeger,
        "COLLECTOR_LOKI": loki,
        **(more or {}),
    }
    output = folder / "collector.log"
    configurations = [f"--config={path}" for path in (CONFIGURATION, *overlays)]
    with running(
        [programs.collector(), *configurations],
        log=output,
        # Whoever asks for its own metrics before that makes it log an error.
        ready=lambda: "Everything is ready" in output.read_text(encoding="utf-8"),
        environment=environment,
    ):
        yield Collector(http, grpc, metrics, span_metrics, logs, output)
