"""Platform options of campaigns: each campaign takes the servers of orders and their replicas, in one form."""

from pathlib import Path

from observability.chaos.campaigns.network import port_of
from observability.chaos.platform_options import CampaignPlatformOptions
from observability.cli.chaos import Chaos
from observability.cli.group import imported
from tests.each import for_each

# It counts the attempts to call inventory, and looks at no database.
WITHOUT = {"outage"}
SCALED = CampaignPlatformOptions(shards=2, replicas=1)


@for_each(sorted(Chaos.entries.keys() - WITHOUT))
def test_a_campaign_takes_shards_and_replicas(name: str) -> None:
    options = {parameter.name for parameter in imported(name, Chaos.entries[name]).params}
    assert {"shards", "replicas"} <= options


def test_the_process_group_has_all_platform_options() -> None:
    options = CampaignPlatformOptions(mode="monolith", bus="nats", shards=2, replicas=1)
    group = options.process_group(Path("out"), environment={"A": "1"})
    assert (group.mode, group.bus, group.shards, group.replicas) == ("monolith", "nats", 2, 1)
    assert (group.folder, group.environment, group.modules) == (Path("out"), {"A": "1"}, {})


def test_a_folder_is_named_by_the_options_that_are_unusual() -> None:
    assert CampaignPlatformOptions().folder_name("storm") == "storm-services-postgres"
    assert SCALED.folder_name("storm") == "storm-services-postgres-2-shards-1-replicas"


def test_a_dsn_without_a_port_leads_to_the_usual_one() -> None:
    assert [port_of(f"postgresql://order@127.0.0.1{port}/order") for port in ("", ":6000")] == [5432, 6000]
