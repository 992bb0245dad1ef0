"""Tests of the OpenAPI document: Schemathesis makes requests from it and checks every answer, no check disabled."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from services.local.platform.endpoints import Endpoints
from tests.e2e.customers import CUSTOMER

# Of each operation in each phase, and of chains of them; a thousand make some ten thousand requests.
EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "50"))
SECONDS_AN_EXAMPLE = 40
# Documented refusals of well-formed requests: out of stock, unknown SKU or order, and a key used for another request.
CONFIGURATION = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "404", "409", "422"]
"""


def responses(report: Path) -> Iterator[tuple[str, int]]:
    """Yield the operation and the status of every answer in a report."""
    for line in report.read_text().splitlines():
        scenario = json.loads(line).get("ScenarioFinished")
        recorder: dict[str, Any] = (scenario or {}).get("recorder") or {}
        cases = recorder.get("cases", {})
        for case_id, interaction in recorder.get("interactions", {}).items():
            case = cases[case_id]["value"]
            if interaction.get("response"):
                yield f"{case['method']} {case['path']}", interaction["response"]["status_code"]


@pytest.mark.timeout(EXAMPLES * SECONDS_AN_EXAMPLE)
@pytest.mark.full
def test_every_answer_is_as_documented(
    shop: Endpoints, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """All phases run clean; each operation was answered with a 2xx at least once, and nothing with a 500."""
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(tmp_path / "schemathesis.toml")),
        *("run", f"http://{shop.edge_http}/openapi.json", "-H", f"X-Customer-Id: {CUSTOMER}"),
        *("--max-examples", str(EXAMPLES), "--seed", "1"),
        *("--report", "ndjson", "--report-dir", str(tmp_path / "report")),
    ]
    hooks = {"SCHEMATHESIS_HOOKS": "tests.e2e.schemathesis_hooks", "PYTHONPATH": str(Path(__file__).parents[2])}
    run = subprocess.run(command, env=os.environ | hooks, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[:20_000]
    (report,) = (tmp_path / "report").glob("*.ndjson")
    counts = Counter(responses(report))
    record_property("requests", counts.total())
    succeeded = {operation for operation, status in counts if 200 <= status < 300}
    assert succeeded == {
        "POST /orders",
        "GET /orders/{order_id}",
        "GET /customers/{customer_id}/orders",
        "POST /orders/{order_id}/cancel",
        "GET /stock-hints",
    }
    assert {status for _, status in counts if status >= 500} == set()
