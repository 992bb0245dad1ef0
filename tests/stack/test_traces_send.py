"""`plumb traces send` brings recorded traces into a real Jaeger, where they are found as they were."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from observability.cli import main
from tests.stack.foreign_spans import ForeignSpan
from tests.stack.jaeger import Jaeger
from tests.stack.processes import eventually

SPANS = [
    ForeignSpan(name="POST /orders", service="order", attributes={"shop.order.id": "1"}, duration_seconds=2.0),
    ForeignSpan(name="GET /orders/{order_id}", service="order", attributes={"shop.order.id": "2"}),
]


def test_recorded_traces_are_found_in_jaeger(search: Jaeger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By service, operation, tag and duration, each under its own trace id."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    lines = [json.dumps({"resourceSpans": [span.otlp()]}) for span in SPANS]
    (tmp_path / "traces.jsonl").write_text("\n".join(lines) + "\n")
    sent = CliRunner().invoke(main, ["traces", "send", str(tmp_path), "--endpoint", f"http://{search.otlp}"])
    assert (sent.exit_code, sent.stderr) == (0, "")
    assert sent.stdout == f"sent 2 spans of 1 file to http://{search.otlp}\n"

    def found(**wanted: Any) -> list[str]:
        return sorted(search.search("order", **wanted))

    slow, quick = (span.trace_id for span in SPANS)
    eventually(lambda: found() == sorted([slow, quick]), what="Jaeger has both traces")
    assert search.trace(slow) == [("order", "POST /orders")]
    assert found(operation="GET /orders/{order_id}") == [quick]
    assert found(tags=json.dumps({"shop.order.id": "2"})) == [quick]
    assert found(minDuration="1s") == [slow]
