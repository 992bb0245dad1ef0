"""`plumb verify`: what it prints, writes and exits with."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from observability.cli import main
from tests.endpoints import write_endpoints
from tests.integration.invariants.conftest import Sound
from tests.integration.invariants.keeping import tamper
from tests.integration.invariants.tampering import FROM_SOLD, SOLD


@pytest.fixture
def endpoints(sound: Sound, tmp_path: Path) -> Path:
    """Write the endpoints file of a platform with the shop's databases."""
    return write_endpoints(sound.dsns, tmp_path)


async def plumb(*arguments: object) -> Result:
    """Run `plumb verify`, which has an event loop of its own."""
    return await asyncio.to_thread(lambda: CliRunner().invoke(main, ["verify", *map(str, arguments)]))


async def test_a_sound_shop_exits_with_0(endpoints: Path, tmp_path: Path) -> None:
    """Each invariant has its line, and the result can be read by a program."""
    result_path = tmp_path / "checks.json"
    result = await plumb("--endpoints", endpoints, "--json", result_path)
    assert result.exit_code == 0, result.output
    assert all(f"I{number} " in result.output for number in range(1, 9))
    assert "Not asked" not in result.output
    checked = json.loads(result_path.read_text())
    assert checked["holds"] is True
    assert [check["violation_count"] for check in checked["checks"]] == [0] * 8


async def test_a_violation_exits_with_1_and_is_printed(endpoints: Path, sound: Sound, tmp_path: Path) -> None:
    """On the terminal and in the file."""
    await tamper(sound.dsns["order"], f"UPDATE orders SET total_minor = 1 WHERE order_id = {SOLD}")
    result_path = tmp_path / "checks.json"
    result = await plumb("--endpoints", endpoints, "--json", result_path)
    assert result.exit_code == 1
    assert "is not the fold of its 2 events" in result.output
    assert json.loads(result_path.read_text())["holds"] is False


async def test_a_dead_letter_is_reported_without_waiting(endpoints: Path, sound: Sound) -> None:
    """It is a violation."""
    park = """
        INSERT INTO dead_letters (consumer, event_id, type, aggregate_id, aggregate_version, occur_time, traceparent,
            data, reason)
        VALUES ('notification', gen_random_uuid(), 'order.completed', gen_random_uuid(), 1, now(), '', '', 'POISON')"""
    await tamper(sound.dsns["notification"], park)
    result = await plumb("--endpoints", endpoints, "--wait", 600)
    assert result.exit_code == 1
    assert "I8: it is a dead letter" in result.output


async def test_a_busy_shop_ends_the_wait_with_an_error(endpoints: Path, sound: Sound) -> None:
    """Exit 2 and what is in flight; without waiting, what holds under load."""
    await tamper(
        sound.dsns["order"],
        f"INSERT INTO outbox (stream_id, version, logical_shard) SELECT order_id, 1, logical_shard {FROM_SOLD}",
    )
    result = await plumb("--endpoints", endpoints, "--wait", 0.1)
    assert result.exit_code == 2
    assert "1 events to publish" in result.stderr
    under_load = await plumb("--endpoints", endpoints, "--wait", 0)
    assert under_load.exit_code == 0
    assert "I6 whether none waits to be published" in under_load.output


async def test_an_unreachable_platform_exits_with_2(endpoints: Path, tmp_path: Path) -> None:
    """An endpoints file that is none, and a platform that is gone, each in one plain line."""
    (tmp_path / "none.json").write_text("{}")
    gone = tmp_path / "gone.json"
    gone.write_text(re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:1", endpoints.read_text()))
    for path, wait in ((tmp_path / "none.json", 0), (tmp_path / "missing.json", 0), (gone, 0), (gone, 0.1)):
        result = await plumb("--endpoints", path, "--wait", wait)
        assert result.exit_code == 2, result.output
        assert result.stderr.startswith("plumb verify: ")
        assert "Traceback" not in result.output
