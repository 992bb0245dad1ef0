"""Checks that a real Collector runs the committed configuration with the components of the manifest."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from observability.telemetry.spans import ALLOWED_ATTRIBUTES
from tests.patience import PATIENCE_SECONDS
from tests.stack import programs
from tests.stack.collector import CONFIGURATION, SAMPLED, TO_FILE, Collector

KINDS = ("receivers", "processors", "connectors", "exporters")
OVERLAYS = {"all kept": [], "sampled": [SAMPLED], "to a file": [TO_FILE], "sampled to a file": [SAMPLED, TO_FILE]}
# What a resource says of itself, and the one thing that is kept of an exception.
BESIDE_SPANS = {
    "deployment.environment.name",
    "exception.type",
    "service.instance.id",
    "service.name",
    "service.namespace",
    "service.version",
    "telemetry.sdk.language",
    "telemetry.sdk.name",
    "telemetry.sdk.version",
}


def configuration(path: Path = CONFIGURATION) -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return parsed


def configured(kind: str) -> set[str]:
    """Return the types of a kind of component that the configuration or an overlay sets up."""
    files = (CONFIGURATION, SAMPLED, TO_FILE)
    return {name.partition("/")[0] for path in files for name in configuration(path).get(kind, {})}


def in_pipelines(path: Path) -> set[str]:
    pipelines = configuration(path)["service"]["pipelines"].values()
    return {name for pipeline in pipelines for part in pipeline.values() for name in part}


@pytest.fixture(scope="module")
def built_in() -> dict[str, Any]:
    """Return the components that the built Collector lists."""
    listed: dict[str, Any] = yaml.safe_load(
        programs.run([programs.collector(), "components"], timeout=PATIENCE_SECONDS)
    )
    return listed


@pytest.mark.parametrize("kind", KINDS)
def test_the_manifest_builds_exactly_what_the_configuration_uses(built_in: dict[str, Any], kind: str) -> None:
    deprecated = {entry["name"] for entry in built_in[kind] if entry.get("deprecated")}
    assert {entry["name"] for entry in built_in[kind]} - deprecated == configured(kind)


@pytest.mark.parametrize("overlays", OVERLAYS.values(), ids=OVERLAYS)
def test_a_real_collector_finds_the_configuration_valid(overlays: list[Path]) -> None:
    configurations = [f"--config={path}" for path in (CONFIGURATION, *overlays)]
    programs.run([programs.collector(), "validate", *configurations], timeout=PATIENCE_SECONDS)


def test_a_collector_would_notice_a_wrong_configuration(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("processors: {batch: {time_out: 1s}}", encoding="utf-8")
    with pytest.raises(pytest.fail.Exception, match="time_out"):
        programs.run(
            [programs.collector(), "validate", f"--config={CONFIGURATION}", f"--config={wrong}"],
            timeout=PATIENCE_SECONDS,
        )


def test_all_that_is_set_up_has_a_place_in_a_pipeline() -> None:
    placed = {name for path in (CONFIGURATION, SAMPLED, TO_FILE) for name in in_pipelines(path)}
    set_up = {
        name
        for path in (CONFIGURATION, SAMPLED, TO_FILE)
        for kind in KINDS
        for name in configuration(path).get(kind, {})
    }
    assert placed == set_up


def test_the_collector_starts_without_warnings(alone: Collector) -> None:
    """But for those of gRPC: there is no Jaeger here."""
    lines = alone.output.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if '"level":"info"' not in line and '"grpc_log":true' not in line] == []


def test_redaction_allows_only_the_attributes_of_our_spans() -> None:
    allowed = configuration()["processors"]["redaction/spans"]["allowed_keys"]
    assert set(allowed) == ALLOWED_ATTRIBUTES | BESIDE_SPANS


def test_spans_are_counted_before_they_are_sampled() -> None:
    pipelines = configuration()["service"]["pipelines"]
    assert "span_metrics" in pipelines["traces/taken"]["exporters"]
    assert "span_metrics/edges" in pipelines["traces/edges"]["exporters"]
    assert list(configuration(SAMPLED)["service"]["pipelines"]) == ["traces/kept"]


@pytest.mark.parametrize("pipeline", ["traces/taken", "logs"])
def test_memory_is_limited_first_and_redaction_follows(pipeline: str) -> None:
    first, second = configuration()["service"]["pipelines"][pipeline]["processors"][:2]
    assert (first, second.partition("/")[0]) == ("memory_limiter", "redaction")
