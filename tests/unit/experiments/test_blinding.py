"""Blinding of an observation: versions and instance ids are removed, all other data stays."""

import stat
from pathlib import Path
from typing import Any

import orjson
import pytest

from observability.analysis.observation import Observation, ObservedObjective
from observability.analysis.observation_folder import read_observation
from observability.experiments.runner.blinding import keep
from observability.load.goodput import DEADLINE_SECONDS
from observability.prometheus.build.objectives import ORDER_SLOW, SLOW_SECONDS
from tests.unit.load.records import record

# They became due a second after the epoch, and later.
COUNTED = (record(latency=0.1), record(latency=0.2, outcome="error"))
RESOURCE = {"service.name": "stock", "service.version": "0.1.0", "service.instance.id": "f00", "host.name": "here"}


def exported(span_id: str, trace: str, **more: object) -> bytes:
    """Return a line with one span of five seconds after the epoch; ids of one digit."""
    span = {
        "traceId": trace * 32,
        "spanId": span_id * 16,
        "startTimeUnixNano": "5000000000",
        "endTimeUnixNano": "5001000000",
        **more,
    }
    attributes = [{"key": key, "value": {"stringValue": value}} for key, value in RESOURCE.items()]
    line = {"resourceSpans": [{"resource": {"attributes": attributes}, "scopeSpans": [{"spans": [span]}]}]}
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Return what blinding leaves of two trace files, the second of which ends in half a line."""
    traces, observation = tmp_path / "traces", tmp_path / "observation"
    traces.mkdir()
    observation.mkdir()
    (traces / "traces.jsonl").write_bytes(exported("1", "a"))
    link = {"traceId": "a" * 32, "spanId": "1" * 16}
    (traces / "traces.000001.jsonl").write_bytes(exported("2", "b", links=[link]) + exported("3", "c")[:250])
    keep(traces, observation, COUNTED, from_seconds=1.0, until_seconds=11.0, rate_per_second=5.0)
    return observation


@pytest.fixture
def seen(kept: Path) -> Observation:
    """Return the same, as the diagnosis reads it."""
    return read_observation(kept)


def test_version_and_instance_are_removed(kept: Path) -> None:
    text = "".join(path.read_text() for path in kept.iterdir())
    assert not [word for word in ("version", "0.1.0", "instance", "f00") if word in text]


def test_the_other_attributes_of_a_resource_stay(kept: Path) -> None:
    [line] = map(orjson.loads, (kept / "traces.jsonl").read_bytes().splitlines())
    assert [each["key"] for each in attributes_of(line)] == ["service.name", "host.name"]


def test_spans_keep_their_service_and_links(seen: Observation) -> None:
    spans = [trace.roots[0].span for trace in seen.traces]
    assert {(each.trace_id[0], each.service) for each in spans} == {("a", "stock"), ("b", "stock")}
    assert [link.trace_id[0] for each in spans for link in each.links] == ["a"]


def test_a_line_that_was_cut_off_still_counts_as_one(seen: Observation) -> None:
    assert seen.malformed_lines == 1


def test_the_objective_is_the_shops(seen: Observation) -> None:
    assert seen.requests is not None
    assert seen.requests.objective == ObservedObjective(SLOW_SECONDS, ORDER_SLOW.target)


def test_latencies_of_customers_are_kept(seen: Observation) -> None:
    assert seen.requests is not None
    assert (seen.requests.from_seconds, seen.requests.until_seconds) == (1.0, 11.0)
    assert seen.requests.latencies_seconds == (0.1, 0.2)
    assert (seen.requests.answered, seen.requests.deadline_seconds) == ((True, False), DEADLINE_SECONDS)


def test_observation_files_are_read_only(kept: Path) -> None:
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept.iterdir()} == {0o400}


def attributes_of(line: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = line["resourceSpans"][0]["resource"]["attributes"]
    return found
