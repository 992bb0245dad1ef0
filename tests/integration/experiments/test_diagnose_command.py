"""`plumb diagnose` on a recorded observation: what stands in its text, and in its JSON."""

from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.verdict import Verdict
from observability.cli import main
from observability.experiments.runner.artifacts import verdict_from
from tests.recorded.recordings import unpack


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a healthy run whose customers were promised what they got."""
    found = unpack("healthy", tmp_path_factory.mktemp("recorded"))
    requests = orjson.loads((found / "requests.json").read_bytes())
    (found / "requests.json").write_bytes(orjson.dumps({**requests, "objective": {"seconds": 5, "share": 0.99}}))
    return found


@pytest.fixture(scope="module")
def verdict(folder: Path) -> Verdict:
    """Return the verdict from the JSON output."""
    return verdict_from(orjson.loads(CliRunner().invoke(main, ["diagnose", "--json", str(folder)]).output))


def test_the_json_has_the_time_to_effect_at_each_consumer(verdict: Verdict) -> None:
    assert {each.operation for each in verdict.effects} >= {"process shop.orders", "notification.send_confirmation"}
    assert all(0 < each.seconds_p50 <= each.seconds_p95 for each in verdict.effects)


def test_nearly_every_request_was_seen_to_take_effect(verdict: Verdict) -> None:
    assert verdict.effects
    assert all(each.requests >= 0.9 * verdict.requests for each in verdict.effects)


def test_the_text_says_the_same(folder: Path, verdict: Verdict) -> None:
    said = CliRunner().invoke(main, ["diagnose", str(folder)])
    assert said.exit_code == 0
    assert verdict.effects
    assert all(effect.sentence() in said.output for effect in verdict.effects)


def test_it_says_that_the_objective_is_met(folder: Path) -> None:
    said = CliRunner().invoke(main, ["diagnose", str(folder)]).output
    assert "the objective is met: 100% of 60 requests took at most 5 s, target 99%" in said


def test_with_a_baseline_it_says_what_grew(folder: Path, tmp_path: Path) -> None:
    """The bottleneck was put in after the baseline, so that its class is in the place that grew."""
    slow = unpack("synchronous_notification", tmp_path)
    said = CliRunner().invoke(main, ["diagnose", "--json", str(slow), "--baseline", str(folder)])
    found = verdict_from(orjson.loads(said.output))
    assert said.exit_code == 1
    assert found.bottleneck is Bottleneck.SYNC_SIDE_EFFECT
    assert any(change.operation == found.operation for change in found.changes)
    assert any(reason.startswith("requests are slower than in the baseline") for reason in found.reasons)
