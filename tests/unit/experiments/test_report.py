"""HTML report and summary of a trial: their content, and that they depend on the trial's folder alone."""

import html
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from observability.analysis.bottleneck import Bottleneck
from observability.cli import main
from observability.experiments.experiment import ExperimentKind, Metric, Truth
from observability.experiments.runner.errors import TrialError
from observability.report.experiment.evidence import NotFinished
from observability.report.experiment.files import write_report
from observability.report.experiment.page import render_trial
from observability.report.experiment.summary import summarise_trial
from tests.unit.experiments.making import CANNOT_TELL, FEWER_LOST, NOTHING_FOUND, RIGHT, TRUTH, block, finished_trial

NEEDED = ("claim.json", "environment.json", "plan.json", "diagnosis.json", "seal.json", "score.json")


def text_of(page: str) -> str:
    """Return the visible text of a page."""
    body = re.sub(r"<[^>]+>", " ", page.rpartition("</style>")[2])
    return " ".join(html.unescape(body).split())


def test_the_page_loads_no_other_file(tmp_path: Path) -> None:
    page = render_trial(finished_trial(tmp_path))
    assert not re.search(r"\b(?:src|srcset)\s*=|href=\"(?!#)|url\(|@import|https?:|<script", page)


def test_the_report_is_the_same_bytes_in_any_folder(tmp_path: Path) -> None:
    folder = finished_trial(tmp_path / "first")
    first = [path.read_bytes() for path in write_report(folder)]
    assert [path.read_bytes() for path in write_report(folder)] == first
    shutil.copytree(folder.path, tmp_path / "second")
    assert [path.read_bytes() for path in write_report(type(folder)(tmp_path / "second"))] == first


def test_page_and_summary_report_the_finding_and_the_gain(tmp_path: Path) -> None:
    folder = finished_trial(tmp_path)
    named = "named n plus one in SELECT items of stock, 42 % of the requests' time, and that is right."
    gained = "The fix brought p95 from 240 ms to 120 ms: 50 % less"
    for shown in (text_of(render_trial(folder)), text_of(summarise_trial(folder))):
        assert named in shown
        assert gained in shown


def test_the_diagnosis_after_the_fix_is_in_page_and_summary(tmp_path: Path) -> None:
    both = replace(TRUTH, also=Truth(Bottleneck.POOL, "shop"))
    first, then = replace(RIGHT, also=("pool in shop",)), replace(RIGHT, bottleneck=Bottleneck.POOL, operation="")
    folder = finished_trial(tmp_path, verdict=first, truth=both, following=then)
    said = (
        f"With the fix, the diagnosis says {then.sentence()}: WRONG, it placed it in stock '', and it is in shop None."
    )
    for shown in (text_of(render_trial(folder)), text_of(summarise_trial(folder))):
        assert said in shown


def test_goodput_replaces_quantiles_where_it_counts(tmp_path: Path) -> None:
    folder = finished_trial(tmp_path, verdict=replace(RIGHT, prediction=FEWER_LOST), metric=Metric.GOODPUT)
    page, summary = text_of(render_trial(folder)), text_of(summarise_trial(folder))
    gained = "Of 10.1 orders a second 4.5 got the right answer in time without the fix, and 9.0 with it: 2.00"
    for shown in (page, summary):
        assert gained in shown
        assert "p95" not in shown.replace("95th", "")
    assert "sold too late 21 21" in page
    assert "predicted after 10.1 9.0 to 11.3 +12 %" in page
    assert "| 10.1 | 4.5 (3.7 to 5.3) | 10.1 (9.0 to 11.3) | 9.0 (7.3 to 10.7) | +12 % | held | -50 % |" in summary
    assert "The prediction of goodput after / before 2.25 (2.00 to 2.50) held: measured 2.00." in page


def test_goodput_without_a_forecast_says_so(tmp_path: Path) -> None:
    shown = text_of(render_trial(finished_trial(tmp_path, verdict=CANNOT_TELL, metric=Metric.GOODPUT)))
    assert "Nothing was predicted, since the diagnosis could not tell." in shown
    assert "measured after 9.0 7.3 to 10.7" in shown


def test_a_wrong_verdict_is_called_wrong_with_the_truth(tmp_path: Path) -> None:
    shown = text_of(render_trial(finished_trial(tmp_path, verdict=NOTHING_FOUND)))
    assert "found no bottleneck. That is wrong: it is n plus one in SELECT items of stock." in shown


def test_predicted_and_measured_have_intervals_and_errors(tmp_path: Path) -> None:
    folder = finished_trial(tmp_path)
    shown = text_of(render_trial(folder))
    assert "predicted after 60.0 52.3 to 67.8 -20 % 90.0 83.3 to 96.8 -25 %" in shown
    assert "sealed ratio 0.40 (0.35 to 0.45) missed 0.38 (0.35 to 0.40) missed" in shown
    assert "unchanged 150 +100 % 240 +100 %" in shown
    assert "| 90.0 (83.3 to 96.8) |" in summarise_trial(folder)


def test_a_missed_prediction_is_in_the_headline(tmp_path: Path) -> None:
    folder = finished_trial(tmp_path)
    missed = "The prediction of p95 after / before 0.38 (0.35 to 0.40) MISSED: measured 0.50 (0.48 to 0.52)."
    page, summary = render_trial(folder), summarise_trial(folder)
    lead = page.partition('<p class="lead">')[2].partition("</p>")[0]
    assert missed in lead
    assert missed in summary
    assert "right, but mispredicted" in page


def test_the_named_trace_links_to_its_spans(tmp_path: Path) -> None:
    page = render_trial(finished_trial(tmp_path))
    [trace_id] = re.findall(r'href="#(trace-[0-9a-f]+)"', page)
    assert f'id="{trace_id}"' in page
    assert page.count('<details class="span">') == page.count("<summary")
    assert "<dt>began after</dt>" in page


def test_a_trial_that_is_part_of_a_demo_leads_to_its_report(tmp_path: Path) -> None:
    folder = finished_trial(tmp_path / "lab" / "n_plus_one-1")
    assert "The demo that this followed" not in render_trial(folder)
    folder.link_demo(tmp_path / "run" / "report.html")
    assert 'href="../../run/report.html"' in render_trial(folder)


def test_no_column_is_hidden_on_a_phone(tmp_path: Path) -> None:
    """Hidden are labels of ticks that would touch, and the browser's own marker of what opens."""
    page = render_trial(finished_trial(tmp_path))
    hidden = re.findall(r"(\S+) \{ display: none; \}", page)
    assert hidden == ["summary.row::-webkit-details-marker", ".wide"]


def test_each_chart_is_drawn_once(tmp_path: Path) -> None:
    labels = re.findall(r'<svg class="plot"[^>]*aria-label="([^"]+)"', render_trial(finished_trial(tmp_path)))
    assert len(labels) == len(set(labels)) == 4


def test_a_measurement_reports_latency_and_processor_time(tmp_path: Path) -> None:
    folder = finished_trial(tmp_path, verdict=NOTHING_FOUND, kind=ExperimentKind.MEASUREMENT, truth=None)
    shown = text_of(render_trial(folder))
    assert "Nothing was wrong with either: p50 150.0 ms, 75.0 after: -75.0 ms" in shown
    assert "processor an order 45.0 ms, 45.0 after" in shown


def test_a_wrong_optimisation_has_no_forecast(tmp_path: Path) -> None:
    folder = finished_trial(tmp_path, kind=ExperimentKind.WRONG_OPTIMISATION)
    shown = text_of(render_trial(folder))
    assert "which was not changed here" in shown
    assert "predicted after" not in shown
    assert "not shown to be the same within 5 %" in shown.replace("\N{NO-BREAK SPACE}", " ")


def test_where_nothing_is_wrong_there_was_nothing_to_fix(tmp_path: Path) -> None:
    folder = finished_trial(tmp_path, verdict=NOTHING_FOUND, kind=ExperimentKind.NEGATIVE, truth=None)
    shown = text_of(render_trial(folder))
    assert "There was nothing to fix, and p95 after / before is 0.50" in shown


def test_a_diagnosis_that_cannot_tell_predicts_nothing(tmp_path: Path) -> None:
    folder = finished_trial(tmp_path, verdict=CANNOT_TELL)
    assert "Nothing was predicted" in text_of(render_trial(folder))
    assert "| none |" in summarise_trial(folder)


def test_invalid_runs_of_a_block_are_listed_with_their_reason(tmp_path: Path) -> None:
    folder = finished_trial(tmp_path)
    shown = text_of(render_trial(folder))
    assert shown.index("INVALID, repeated: the after generator was late") < shown.index("the before generator")
    assert "pair 2, after, attempt 1: INVALID, repeated: the after generator was late" in summarise_trial(folder)


def test_used_invalid_blocks_are_reported_before_any_figure(tmp_path: Path) -> None:
    folder = finished_trial(tmp_path)
    folder.write("blocks/03-after.json", block(3, "after", [0.1, 0.2], attempt=1, why="other work on the machine"))
    shown = text_of(render_trial(folder))
    assert shown.index("1 of 6 blocks are INVALID: take the figures as a hint") < shown.index("p95 before")
    assert "INVALID, used anyway: other work on the machine" in shown
    assert "1 of 6 blocks are INVALID" in summarise_trial(folder)


def test_text_from_outside_is_escaped(tmp_path: Path) -> None:
    assert "it is sent &lt;4&gt; times in a row" in render_trial(finished_trial(tmp_path))


def test_a_broken_seal_is_reported_first(tmp_path: Path) -> None:
    folder = finished_trial(tmp_path)
    with (tmp_path / "diagnosis.json").open("ab") as file:
        file.write(b" ")
    shown = text_of(render_trial(folder))
    assert shown.index("diagnosis.json is not what was sealed") < shown.index("What the diagnosis said")


def test_machine_seeds_rate_and_seal_are_on_the_page(tmp_path: Path) -> None:
    folder = finished_trial(tmp_path)
    shown = text_of(render_trial(folder))
    for told in ("3.11.7", "seed 7", "12.50 orders a second", folder.seal(), "observation/1f2e3d4c/traces.jsonl"):
        assert told in shown


@pytest.mark.parametrize("name", [*NEEDED, "blocks/02-after.json", "observation/1f2e3d4c/requests.json"])
def test_a_folder_that_lacks_something_is_no_finished_trial(tmp_path: Path, name: str) -> None:
    folder = finished_trial(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(NotFinished, match="holds no finished trial"):
        render_trial(folder)


def test_a_file_of_something_else_is_named(tmp_path: Path) -> None:
    folder = finished_trial(tmp_path)
    folder.write("score.json", {"right": "perhaps"})
    with pytest.raises(TrialError, match=r"score\.json was written by another version"):
        render_trial(folder)


def test_the_command_writes_the_report_and_says_where(tmp_path: Path) -> None:
    finished_trial(tmp_path)
    ran = CliRunner().invoke(main, ["lab", "report", str(tmp_path)])
    assert ran.exit_code == 0
    assert ran.stdout.split() == [str(tmp_path / "report.html"), str(tmp_path / "summary.md")]
    assert (tmp_path / "report.html").read_text().startswith("<!DOCTYPE html>")


def test_the_command_fails_plainly_where_no_finished_trial_is(tmp_path: Path) -> None:
    ran = CliRunner().invoke(main, ["lab", "report", str(tmp_path)])
    assert ran.exit_code == 3
    assert ran.stderr == f"plumb lab report: {tmp_path} holds no finished trial: there is no score.json\n"
