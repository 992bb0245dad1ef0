"""One recorded run in every format of traces: the same verdict from each, whole, cut off, packed or mixed."""

import gzip
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from backports import zstd
from typer.testing import CliRunner

from observability.analysis.diagnosis import diagnose
from observability.analysis.observation_folder import ObservationUnreadable, read_observation
from observability.analysis.readers import containers
from observability.analysis.readers.trace_files import read_spans
from observability.analysis.readers.unread import CUT_OFF, CUT_OFF_MESSAGE, EMPTY, UNKNOWN_FORMAT, Unread
from observability.cli import main
from tests.full import in_full
from tests.recorded.recordings import RECORDED, place_of, unpack
from tests.unit.analysis.trace_writers import WRITERS, Json, otlp_lines, traces_of

RECORDING = "n_plus_one"
# Enough for the verdict, even when a tenth of them is cut off.
TRACES = 130
DOCUMENTS = ["otlp_document", "otlp_pretty", "otlp_array", "jaeger_v1", "jaeger_v1_pretty", "zipkin", "zipkin_traces"]
PACKERS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstd.compress}

# One of each kind of container: lines, one document, messages.
SOME = ("otlp_lines", "jaeger_v1", "collector_proto")
OTHERS = [name for name in WRITERS if name not in SOME]

every_format = pytest.mark.parametrize("name", [*SOME, *in_full(*OTHERS)])


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> list[list[Json]]:
    """Return the traces of a recorded run."""
    return traces_of(unpack(RECORDING, tmp_path_factory.mktemp("recorded")) / "traces.jsonl")[:TRACES]


@pytest.fixture(scope="module")
def written(traces: list[list[Json]]) -> Callable[[str], bytes]:
    """Return the run in a format, which is written once."""
    return cache(lambda name: WRITERS[name](traces))


@pytest.fixture(scope="module")
def spans(traces: list[list[Json]]) -> int:
    """Return the number of spans of the run."""
    return sum(map(len, traces))


@every_format
def test_every_format_gives_the_same_verdict(
    name: str, written: Callable[[str], bytes], spans: int, tmp_path: Path
) -> None:
    (tmp_path / "data").write_bytes(written(name))
    seen = read_observation(tmp_path / "data")
    verdict = diagnose(seen)
    assert sum(trace.spans for trace in seen.traces) == spans
    assert (place_of(verdict), verdict.unread) == (RECORDED[RECORDING], ())


@every_format
def test_a_truncated_file_gives_the_same_verdict_and_is_counted(
    name: str, written: Callable[[str], bytes], spans: int, tmp_path: Path
) -> None:
    """All that came before the cut is read."""
    content = written(name)
    (tmp_path / "data").write_bytes(content[: len(content) * 9 // 10])
    seen = read_observation(tmp_path)
    verdict = diagnose(seen)
    assert 0.8 * spans < sum(trace.spans for trace in seen.traces) < spans
    assert place_of(verdict) == RECORDED[RECORDING]
    [unread] = verdict.unread
    assert (unread.file, unread.count) == ("data", 1)
    assert unread.reason in {CUT_OFF, CUT_OFF_MESSAGE}


@every_format
@pytest.mark.parametrize("packer", PACKERS)
def test_a_packed_file_is_read_like_the_plain_one(
    name: str, packer: str, written: Callable[[str], bytes], tmp_path: Path
) -> None:
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    plain.write_bytes(written(name))
    packed.write_bytes(PACKERS[packer](written(name)))
    assert read_spans([packed]) == read_spans([plain])


@every_format
def test_a_folder_of_two_formats_gives_the_same_verdict(
    name: str, traces: list[list[Json]], spans: int, tmp_path: Path
) -> None:
    """Half of the traces are in this format, half are OTLP/JSON lines; two spans are in both."""
    half = len(traces) // 2
    (tmp_path / "half").write_bytes(WRITERS[name](traces[:half]))
    (tmp_path / "rest.txt").write_bytes(otlp_lines([*traces[half:], traces[0][:2]]))
    (tmp_path / "README.md").write_text("# Traces\n")
    (tmp_path / "empty.json").touch()
    seen = read_observation(tmp_path)
    assert (sum(trace.spans for trace in seen.traces), seen.duplicate_spans) == (spans, 2)
    assert place_of(diagnose(seen)) == RECORDED[RECORDING]
    assert seen.unread == (Unread("README.md", UNKNOWN_FORMAT, 1), Unread("empty.json", EMPTY, 1))


@every_format
def test_a_format_without_spans_is_nothing_readable(name: str, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(WRITERS[name]([]) if name not in {"tempo_trace"} else b"{}")
    with pytest.raises(ObservationUnreadable, match="no traces in"):
        read_observation(tmp_path)


@pytest.mark.parametrize("name", [*DOCUMENTS[:1], *in_full(*DOCUMENTS[1:])])
def test_a_long_document_is_read_in_parts(
    name: str, written: Callable[[str], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").write_bytes(written(name))
    whole = read_spans([tmp_path / "data"])
    monkeypatch.setattr(containers, "WHOLE_BYTES", 1 << 20)
    assert read_spans([tmp_path / "data"]) == whole


def test_lines_of_several_formats_may_be_in_one_file(traces: list[list[Json]], tmp_path: Path) -> None:
    kinds = ("otlp_lines", "jaeger_v1", "zipkin", "tempo_batches", "jaeger_storage")
    lines = [WRITERS[name]([trace]).strip() for name, trace in zip(kinds, traces, strict=False)]
    lines += [b'{"level": "info"}', b'{"resourceMetrics": []}', b"plain text"]
    (tmp_path / "data").write_bytes(b"\n\n".join(lines))
    read = read_spans([tmp_path / "data"])
    assert len(read.spans) == sum(map(len, traces[: len(kinds)]))
    assert [each.count for each in read.unread] == [1, 1, 1]


def test_a_gzip_file_that_is_cut_off_is_read_to_the_damage(
    written: Callable[[str], bytes], spans: int, tmp_path: Path
) -> None:
    packed = gzip.compress(written("otlp_lines"))
    (tmp_path / "data.gz").write_bytes(packed[: len(packed) * 9 // 10])
    read = read_spans([tmp_path / "data.gz"])
    assert 0.5 * spans < len(read.spans) < spans
    assert {each.file for each in read.unread} == {"data.gz"}


def test_a_named_trace_is_drawn_from_any_format(written: Callable[[str], bytes], tmp_path: Path) -> None:
    """The verdict names traces; `plumb trace` shows them."""
    (tmp_path / "spans.json").write_bytes(written("zipkin"))
    trace_id = diagnose(read_observation(tmp_path)).trace_ids[0]
    ran = CliRunner().invoke(main, ["trace", trace_id, "--folder", str(tmp_path)])
    assert ran.exit_code == 0, ran.stderr
    assert "SELECT items FOR UPDATE" in ran.stdout
