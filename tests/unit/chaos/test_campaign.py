"""The folder of a campaign: its options, its rounds, where it resumes, and its summary."""

from dataclasses import asdict
from pathlib import Path

import pytest

from observability.chaos.campaigns.kill import Campaign, CampaignOptions
from observability.chaos.crash_point_catalog import points_of
from observability.chaos.kill_round import RoundResult
from observability.testbed.errors import TestbedError
from services.infra.atomic_file import write_json

OPTIONS = CampaignOptions(mode="services", bus="postgres", seed=9, kills=130, kills_a_round=60)


def finished(folder: Path, number: int, **figures: object) -> None:
    """Write the file of a finished round."""
    result = RoundResult(number, 9_000 + number, 60, random_kills={"order": 60})
    write_json(folder / f"round-{number:03d}.json", {**asdict(result), **figures})


def test_the_options_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    OPTIONS.write(tmp_path)
    assert CampaignOptions.read(tmp_path) == OPTIONS


@pytest.mark.parametrize("content", [None, "{", "[]", '{"mode": "services"}'])
def test_a_folder_without_a_campaign_is_rejected_by_name(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "campaign.json").write_text(content)
    with pytest.raises(TestbedError, match="is not the folder of a campaign"):
        CampaignOptions.read(tmp_path)


def test_the_last_round_has_the_remaining_kills() -> None:
    assert [OPTIONS.kills_of(number) for number in range(OPTIONS.rounds)] == [60, 60, 10]


def test_a_resumed_campaign_begins_with_the_first_missing_round(tmp_path: Path) -> None:
    """A round beyond a gap runs again, since rounds follow each other."""
    for number in (0, 1, 3):
        finished(tmp_path, number)
    campaign = Campaign(OPTIONS, tmp_path)
    assert ([result.number for result in campaign.finished], campaign.kills) == ([0, 1], 120)


def test_a_file_that_was_cut_off_is_no_round(tmp_path: Path) -> None:
    (tmp_path / "round-000.new").write_text('{"number": 0')
    assert Campaign(OPTIONS, tmp_path).finished == []


def test_a_violation_names_its_round(tmp_path: Path) -> None:
    finished(tmp_path, 0)
    finished(tmp_path, 1, violations=["I3: 1 order too many"])
    campaign = Campaign(OPTIONS, tmp_path)
    assert campaign.violations == ["round 1: I3: 1 order too many"]
    assert campaign.as_document()["holds"] is False


def test_points_without_a_kill_are_reported(tmp_path: Path) -> None:
    points = points_of("services", "postgres")
    hit = {process: {point.name: 1 for point in own} for process, own in points.items()}
    del hit["notification"]["notification.after_send"]
    finished(tmp_path, 0, kills_by_point=hit)
    assert Campaign(OPTIONS, tmp_path).complaints == ["notification: notification.after_send was never reached"]


def test_a_point_that_the_catalogue_lacks_is_reported(tmp_path: Path) -> None:
    finished(tmp_path, 0, unlisted_points=["order: new.before_commit"])
    assert "order: new.before_commit is not in the catalogue of points" in Campaign(OPTIONS, tmp_path).complaints
