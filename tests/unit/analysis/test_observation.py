"""Reading of an observation from its folder, with files that are complete, truncated, malformed or missing."""

import json
from pathlib import Path
from typing import Any

import pytest

from observability.analysis.observation import (
    ObservedObjective,
    ProcessSample,
    Requests,
    Session,
    SessionSample,
    StatementUse,
    TableUse,
)
from observability.analysis.observation_folder import ObservationUnreadable, read_observation

SCRAPE = """\
# HELP calls Calls.
# TYPE calls counter
calls_total{method="Get"} 7.0 # {trace_id="abc"} 0.2
# EOF
"""
PROMETHEUS_TEXT = """\
# HELP calls_total Calls.
# TYPE calls_total counter
calls_total{method="Get"} 7

# TYPE depth untyped
depth 3 1700000000000
"""
SESSION = {
    "pid": 7,
    "database": "some",
    "state": "active",
    "wait_event_type": "Lock",
    "wait_event": "transactionid",
    "query": "UPDATE t SET n = $1",
    "blocked_by": [8, 9],
    "transaction_seconds": 0.5,
}
STATEMENT = {
    "database": "some",
    "query": "SELECT",
    "calls": 3,
    "total_seconds": 0.25,
    "rows": 6,
    "blocks_hit": 12,
    "blocks_read": 1,
}
TABLE = {
    "database": "some",
    "table": "t",
    "sequential_scans": 1,
    "sequential_rows_read": 1000,
    "index_scans": 2,
    "index_rows_fetched": 2,
    "live_rows": 1000,
}
REQUESTS = {"from": 9, "until": 12, "scheduled_rate_per_second": 50, "latencies_seconds": [0.1, 0.2]}


def span(span_id: str, *, at_seconds: float, parent: str = "", trace: str = "a", link: str = "") -> dict[str, Any]:
    """Return a span of a millisecond; ids of one digit. `link` is the trace whose span 1 it links to."""
    start = round(at_seconds * 1e9)
    linked = {"links": [{"traceId": link * 32, "spanId": "1" * 16}]} if link else {}
    return {
        **linked,
        "traceId": trace * 32,
        "spanId": span_id * 16,
        "parentSpanId": parent * 16,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + 1_000_000),
    }


def exported(*spans: dict[str, Any]) -> str:
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}) + "\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an observation of one trace, and nothing else."""
    (tmp_path / "traces.jsonl").write_text(exported(span("1", at_seconds=10), span("2", at_seconds=11, parent="1")))
    return tmp_path


def write(folder: Path, name: str, *documents: object) -> None:
    (folder / name).write_text("".join(json.dumps(document) + "\n" for document in documents))


def test_traces_alone_are_an_observation(folder: Path) -> None:
    seen = read_observation(folder)
    [trace] = seen.traces
    assert (trace.whole, trace.spans) == (True, 2)
    assert (seen.scrapes, seen.sessions, seen.statements, seen.tables, seen.processes) == ((), (), (), (), ())
    assert (seen.requests, seen.malformed_lines, seen.duplicate_spans) == (None, 0, 0)


@pytest.mark.parametrize("name", ["traces.000001.jsonl", "otlp-traces.json", "trace.jsonl"])
def test_traces_may_be_in_files_of_other_names_too(folder: Path, name: str) -> None:
    """A span that is in both is counted."""
    (folder / name).write_text(exported(span("1", at_seconds=10), span("3", at_seconds=12, trace="b")))
    seen = read_observation(folder)
    assert (len(seen.traces), seen.duplicate_spans) == (2, 1)


def test_damaged_traces_are_unreadable_and_named(tmp_path: Path) -> None:
    (tmp_path / "traces.jsonl.gz").write_bytes(b"\x1f\x8b")
    with pytest.raises(ObservationUnreadable, match=r"not read in traces\.jsonl\.gz: compressed content"):
        read_observation(tmp_path)


def test_a_folder_without_traces_is_no_observation(tmp_path: Path) -> None:
    write(tmp_path, "statements.jsonl", STATEMENT)
    with pytest.raises(ObservationUnreadable, match=r"^no traces in .*: name a folder or file with traces of OTLP"):
        read_observation(tmp_path)


def test_a_folder_that_is_not_there_is_no_observation(tmp_path: Path) -> None:
    with pytest.raises(ObservationUnreadable, match="absent"):
        read_observation(tmp_path / "absent")


def test_an_unreadable_file_is_reported(folder: Path) -> None:
    (folder / "sessions.jsonl").mkdir()
    with pytest.raises(ObservationUnreadable, match=r"sessions\.jsonl"):
        read_observation(folder)


def test_a_scrape_is_read_with_its_exemplars(folder: Path) -> None:
    write(folder, "scrapes.jsonl", {"at": 10.5, "target": "some", "text": SCRAPE})
    [timed] = read_observation(folder).scrapes
    assert (timed.at_seconds, timed.target) == (10.5, "some")
    assert timed.scrape.total("calls_total", method="Get") == 7
    assert [exemplar.labels["trace_id"] for exemplar in timed.scrape.exemplars] == ["abc"]


def test_a_scrape_may_be_prometheus_text(folder: Path) -> None:
    write(folder, "scrapes.jsonl", {"at": 10.5, "target": "some", "text": PROMETHEUS_TEXT})
    [timed] = read_observation(folder).scrapes
    assert (timed.scrape.total("calls_total", method="Get"), timed.scrape.total("depth")) == (7, 3)
    assert timed.scrape.exemplars == ()


def test_sessions_are_read_by_moment(folder: Path) -> None:
    write(folder, "sessions.jsonl", {"at": 10.1, "sessions": [SESSION]}, {"at": 10.2, "sessions": []})
    session = Session(7, "some", "active", "Lock", "transactionid", "UPDATE t SET n = $1", (8, 9), 0.5)
    assert read_observation(folder).sessions == (SessionSample(10.1, (session,)), SessionSample(10.2, ()))


def test_statement_and_table_statistics_are_read(folder: Path) -> None:
    write(folder, "statements.jsonl", STATEMENT)
    write(folder, "tables.jsonl", TABLE)
    seen = read_observation(folder)
    assert seen.statements == (StatementUse("some", "SELECT", 3, 0.25, 6, 12, 1),)
    assert seen.tables == (TableUse("some", "t", 1, 1000, 2, 2, 1000),)


def test_processes_are_read_with_or_without_their_waits(folder: Path) -> None:
    with_wait = {"at": 10.0, "process": "some", "cpu_seconds": 1.5, "wait_seconds": 0.25}
    write(folder, "processes.jsonl", with_wait, {**with_wait, "at": 11.0, "wait_seconds": None})
    samples = read_observation(folder).processes
    assert samples == (ProcessSample(10.0, "some", 1.5, 0.25), ProcessSample(11.0, "some", 1.5, None))


@pytest.mark.parametrize("name", ["traces.jsonl", "scrapes.jsonl", "sessions.jsonl", "statements.jsonl"])
def test_a_truncated_line_is_counted_and_skipped(folder: Path, name: str) -> None:
    write(folder, "scrapes.jsonl", {"at": 10.5, "target": "some", "text": SCRAPE})
    write(folder, "sessions.jsonl", {"at": 10.1, "sessions": [SESSION]})
    write(folder, "statements.jsonl", STATEMENT)
    with (folder / name).open("r+b") as file:
        whole = file.read()
        file.write(whole[:40])
    seen = read_observation(folder)
    assert seen.malformed_lines == 1
    assert [len(each) for each in (seen.traces, seen.scrapes, seen.sessions, seen.statements)] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("scrapes.jsonl", {"at": 10.5, "target": "some", "text": "<html>"}),
        ("scrapes.jsonl", {"at": 10.5, "target": "some", "text": "<html>\n# EOF\n"}),
        ("scrapes.jsonl", {"at": 10.5, "target": "some", "text": None}),
        ("sessions.jsonl", {"at": 10.1, "sessions": [{}]}),
        ("statements.jsonl", {**STATEMENT, "unknown": 1}),
        ("tables.jsonl", []),
        ("processes.jsonl", {"process": "some"}),
    ],
)
def test_a_line_that_is_something_else_is_counted(folder: Path, name: str, line: object) -> None:
    write(folder, name, line)
    assert read_observation(folder).malformed_lines == 1


@pytest.mark.parametrize(("bounds", "count"), [((9, 10.5), 1), ((10, 10), 1), ((10.5, 12), 0), ((8, 9.5), 0)])
def test_only_traces_that_began_in_the_window_count(folder: Path, bounds: tuple[float, float], count: int) -> None:
    """A child that began in it does not make its trace count."""
    requests = {"from": bounds[0], "until": bounds[1], "scheduled_rate_per_second": 50, "latencies_seconds": [0.1, 0.2]}
    write(folder, "requests.json", requests)
    seen = read_observation(folder)
    assert seen.requests == Requests(*bounds, 50, (0.1, 0.2))
    assert len(seen.traces) == count


def test_a_trace_without_a_root_began_with_its_first_span(tmp_path: Path) -> None:
    orphans = [span("3", at_seconds=12, parent="9"), span("2", at_seconds=11, parent="9")]
    (tmp_path / "traces.jsonl").write_text(exported(*orphans))
    requests = {"from": 11.5, "until": 13, "scheduled_rate_per_second": 50, "latencies_seconds": []}
    write(tmp_path, "requests.json", requests)
    assert read_observation(tmp_path).traces == ()


def test_linked_later_traces_are_kept_apart(folder: Path) -> None:
    """Of three traces that begin after the requests, one links."""
    later = [
        exported(span("4", at_seconds=20, trace="b", link="a")),
        exported(span("5", at_seconds=20, trace="c")),
        exported(span("6", at_seconds=2, trace="d", link="a")),
    ]
    (folder / "traces.1.jsonl").write_text("".join(later))
    write(folder, "requests.json", REQUESTS)
    seen = read_observation(folder)
    assert ([each.trace_id[0] for each in seen.traces], [each.trace_id[0] for each in seen.later_traces]) == (
        ["a"],
        ["b"],
    )


def test_without_requests_nothing_is_later(folder: Path) -> None:
    (folder / "traces.1.jsonl").write_text(exported(span("4", at_seconds=20, trace="b", link="a")))
    seen = read_observation(folder)
    assert (len(seen.traces), seen.later_traces) == (2, ())


def test_the_objective_is_read(folder: Path) -> None:
    write(folder, "requests.json", {**REQUESTS, "objective": {"seconds": 0.25, "share": 0.99}})
    requests = read_observation(folder).requests
    assert requests is not None
    assert requests.objective == ObservedObjective(seconds=0.25, share=0.99)


def test_a_latency_equal_to_the_objective_meets_it() -> None:
    assert ObservedObjective(seconds=0.2, share=0.5).share_within([0.1, 0.2, 0.3, 0.4]) == 0.5


def test_a_promise_that_is_not_whole_is_no_observation(folder: Path) -> None:
    write(folder, "requests.json", {**REQUESTS, "objective": {"seconds": 0.25}})
    with pytest.raises(ObservationUnreadable, match=r"requests\.json"):
        read_observation(folder)


@pytest.mark.parametrize("text", ['{"from": 1, "unt', "[]", '{"from": 1}', ""])
def test_requests_that_are_not_whole_are_no_observation(folder: Path, text: str) -> None:
    """Without them nobody knows which traces count."""
    (folder / "requests.json").write_text(text)
    with pytest.raises(ObservationUnreadable, match=r"requests\.json"):
        read_observation(folder)
