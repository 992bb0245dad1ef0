"""JSON schema of the verdict: what `plumb diagnose --json` prints is valid under it, and a changed one is not."""

from pathlib import Path

import jsonschema_rs
import orjson
import pytest
from typer.testing import CliRunner

from observability.analysis.diagnosis import diagnose
from observability.analysis.observation_folder import read_observation
from observability.analysis.verdict import Verdict
from observability.analysis.verdict_schema import verdict_schema
from observability.cli import main
from tests.full import in_full
from tests.recorded.recordings import RECORDED, unpack
from tests.unit.analysis.seeing import queries, request, seen

FEW = ("n_plus_one",)


@pytest.fixture(scope="module")
def schema() -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(verdict_schema())


def document(verdict: Verdict) -> dict[str, object]:
    made: dict[str, object] = orjson.loads(orjson.dumps(verdict))
    return made


@pytest.mark.parametrize("name", [*FEW, *in_full(*(name for name in RECORDED if name not in FEW))])
def test_the_verdict_of_a_recorded_run_is_valid(name: str, schema: jsonschema_rs.Validator, tmp_path: Path) -> None:
    schema.validate(document(diagnose(read_observation(unpack(name, tmp_path)))))


@pytest.mark.parametrize("count", [0, 1, 30])
def test_the_verdict_of_few_requests_is_valid(count: int, schema: jsonschema_rs.Validator) -> None:
    schema.validate(document(diagnose(seen(*[request(20, *queries("SELECT item", 9))] * count))))


def test_a_missing_field_is_not_valid(schema: jsonschema_rs.Validator) -> None:
    changed = document(diagnose(seen()))
    del changed["place"]
    assert not schema.is_valid(changed)


def test_another_version_is_not_valid(schema: jsonschema_rs.Validator) -> None:
    assert not schema.is_valid(document(diagnose(seen())) | {"schema_version": 99})


def test_every_field_of_the_verdict_is_described() -> None:
    undescribed = [
        name for name, field in verdict_schema()["properties"].items() if not (field.keys() & {"description", "$ref"})
    ]
    assert not undescribed


def test_the_command_prints_the_schema() -> None:
    printed = CliRunner().invoke(main, ["diagnose", "--json-schema"])
    assert (printed.exit_code, orjson.loads(printed.output)) == (0, verdict_schema())
