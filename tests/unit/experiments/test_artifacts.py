"""Files in a trial's folder: they are read as written, and a changed diagnosis breaks its seal."""

from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from observability.analysis.effects import Effect
from observability.analysis.verdict import Verdict
from observability.experiments.runner.artifacts import BlockRecord, Folder, encode, verdict_from
from observability.experiments.runner.errors import TrialError
from tests.unit.experiments.making import RIGHT, block


def test_a_missing_artifact_is_none(tmp_path: Path) -> None:
    assert Folder(tmp_path).read("plan.json", Verdict) is None


def test_a_verdict_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write("diagnosis.json", RIGHT)
    assert folder.read("diagnosis.json", Verdict) == RIGHT


def test_a_folder_of_another_version_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "diagnosis.json").write_bytes(b'{"answer": "perhaps"}')
    with pytest.raises(TrialError, match=r"diagnosis\.json was written by another version: start again with --fresh"):
        Folder(tmp_path).read("diagnosis.json", Verdict)


def test_a_verdict_is_read_with_its_effects() -> None:
    effect = Effect(
        service="mail", operation="consume", requests=7, unseen=1, seconds_p50=0.1, seconds_p95=0.2, grows=False
    )
    verdict = replace(RIGHT, effects=(effect,))
    assert verdict_from(orjson.loads(encode(verdict))) == verdict


def test_a_block_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder, record = Folder(tmp_path), block(3, "after", [0.1, 0.25], own=0.5, attempt=2)
    path = folder.block(3, "after")
    folder.write(str(path.relative_to(tmp_path)), record)
    assert folder.read("blocks/03-after.json", BlockRecord) == record


def test_the_seal_is_that_of_the_diagnosis(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write("diagnosis.json", RIGHT)
    folder.write("seal.json", {"sha256_of_diagnosis": folder.hash_of_diagnosis()})
    assert folder.seal() == folder.hash_of_diagnosis()


def test_a_diagnosis_that_was_changed_breaks_its_seal(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write("diagnosis.json", RIGHT)
    folder.write("seal.json", {"sha256_of_diagnosis": folder.hash_of_diagnosis()})
    with (tmp_path / "diagnosis.json").open("ab") as file:
        file.write(b" ")
    with pytest.raises(TrialError, match="changed after it was sealed"):
        folder.seal()


def test_an_observation_is_there_once_it_is_whole(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    seen = tmp_path / "running" / "seen"
    seen.mkdir(parents=True)
    kept = folder.keep_observation(seen)
    assert folder.observation() is None
    (kept / "requests.json").write_bytes(b"{}")
    assert folder.observation() == kept


def test_the_name_of_an_observation_says_nothing(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "pool_exhaustion-1")
    seen = tmp_path / "before"
    seen.mkdir()
    assert set(folder.keep_observation(seen).name) <= set("0123456789abcdef")
