"""Page of a diagnosis: holds the verdict, the table and a trace, needs no other file, and escapes what it was told."""

import re
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from observability.analysis.diagnosis import diagnose
from observability.analysis.observation import Observation
from observability.cli import main
from observability.report.diagnosis.page import draw_bars, render
from tests.unit.analysis.seeing import busy, queries, query, request, seen

N_PLUS_ONE = seen(*[request(20, *queries("SELECT item", 9, start=10))] * 30)
SPREAD = request(20, query("SELECT item", 1, 6), query("UPDATE item", 6, 11), query("COMMIT", 11, 16))
NONE = seen(*[SPREAD] * 30, processes=busy(0.3))
CANNOT_TELL = seen(*[SPREAD] * 30)


def page(observation: Observation) -> str:
    return render(diagnose(observation), observation, source="a folder")


@pytest.mark.parametrize("observation", [N_PLUS_ONE, NONE, CANNOT_TELL], ids=["found", "none", "cannot tell"])
def test_each_answer_has_its_sentence_the_table_and_a_trace(observation: Observation) -> None:
    verdict, written = diagnose(observation), page(observation)
    assert verdict.sentence().replace("'", "&#39;") in written
    assert all(row.name in written for row in verdict.time_table)
    assert 'id="trace-trace ' in written


def test_a_found_bottleneck_has_the_gain_of_its_fix() -> None:
    written = page(N_PLUS_ONE)
    assert "What a fix would gain" in written
    assert "What a fix would gain" not in page(NONE)


def test_the_trace_is_one_that_shows_the_bottleneck() -> None:
    verdict = diagnose(N_PLUS_ONE)
    assert f'id="trace-{verdict.trace_ids[0]}"' in page(N_PLUS_ONE)


def test_nothing_else_is_loaded() -> None:
    loaded = re.findall(r'(?:src|href)="(?!#)([^"]*)"|url\(([^)]*)\)|@import', page(N_PLUS_ONE))
    assert loaded == []


def test_what_services_are_called_is_escaped() -> None:
    written = page(seen(*[request(20, *queries("<script>", 9, service="<b>"))] * 30))
    assert "<script>" not in written
    assert "&lt;script&gt;" in written


def test_the_page_is_the_same_byte_for_byte() -> None:
    assert page(N_PLUS_ONE) == page(N_PLUS_ONE)


def test_without_requests_the_page_says_so() -> None:
    assert "No whole request was recorded." in page(seen())


def test_small_parts_are_summed_up() -> None:
    rows = diagnose(N_PLUS_ONE).time_table
    tiny = replace(rows[-1], share=replace(rows[-1].share, value=0.001))
    drawn = draw_bars((*rows[:-1], tiny, tiny))
    assert (len(drawn.bars), drawn.rest_count, round(drawn.rest_share, 9)) == (len(rows) - 1, 2, 0.002)


# --- The command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    """Return a file with one trace of one span."""
    span = {
        "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": "eee19b7ec3c1b174",
        "name": "GET /",
        "kind": 2,
        "startTimeUnixNano": "1544712660000000000",
        "endTimeUnixNano": "1544712661000000000",
    }
    path = tmp_path / "traces.json"
    path.write_bytes(orjson.dumps({"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": [span]}]}]}))
    return path


def test_the_command_writes_the_page_beside_the_text(traces: Path, tmp_path: Path) -> None:
    ran = CliRunner().invoke(main, ["diagnose", str(traces), "--html", str(tmp_path / "page.html")])
    assert ran.exit_code == 2
    assert "cannot tell" in ran.output
    assert "own code in GET /" in (tmp_path / "page.html").read_text()


def test_a_page_in_no_folder_is_refused_before_anything_is_read(traces: Path, tmp_path: Path) -> None:
    ran = CliRunner().invoke(main, ["diagnose", str(traces), "--html", str(tmp_path / "missing" / "page.html")])
    assert ran.exit_code == 3
    assert "name a file in one that exists" in ran.output


def test_a_page_that_cannot_be_written_ends_with_3(traces: Path, tmp_path: Path) -> None:
    ran = CliRunner().invoke(main, ["diagnose", str(traces), "--html", str(tmp_path)])
    assert ran.exit_code == 3
    assert "name another file with --html" in ran.output
