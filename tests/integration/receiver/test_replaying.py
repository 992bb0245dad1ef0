"""`plumb traces send` gives an endpoint the traces that a receiver recorded, as they were."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from observability.cli import main
from tests.integration.receiver.conftest import RunningReceiver, StartReceiver, emptied, receivers
from tests.integration.receiver.http import export
from tests.integration.receiver.requests import request_of


@pytest.fixture(autouse=True)
def nothing_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no variable of the shell choose an endpoint."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def standing_recorder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningReceiver]:
    """Run the receiver that recorded, beside the one that is sent to."""
    with receivers(tmp_path_factory.mktemp("recorder")) as start:
        yield start(name="recorded")


@pytest.fixture
def recorded(standing_recorder: RunningReceiver) -> RunningReceiver:
    """Return it without a record."""
    return emptied(standing_recorder)


def send(path: Path, *options: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(main, ["traces", "send", str(path), *options])


def test_replayed_spans_are_the_recorded_ones(start_receiver: StartReceiver, receiver: RunningReceiver) -> None:
    recorded = start_receiver(name="recorded", maximum_file_bytes=500)
    for number in range(3):
        export(recorded.address, request_of(f"span {number}", "another").SerializeToString())
    assert len(recorded.files()) > 1
    sent = send(recorded.directory, "--endpoint", f"http://{receiver.address}")
    assert (sent.exit_code, sent.stderr) == (0, "")
    assert sent.stdout == f"sent 6 spans of {len(recorded.files())} files to {receiver.url}\n"
    assert receiver.lines() == recorded.lines()


def test_the_endpoint_may_be_exported(
    recorded: RunningReceiver, receiver: RunningReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(recorded.address, request_of("one").SerializeToString())
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{receiver.address}")
    sent = send(recorded.files()[0])
    assert (sent.exit_code, receiver.lines()) == (0, recorded.lines())


def test_a_truncated_line_is_reported_and_skipped(recorded: RunningReceiver, receiver: RunningReceiver) -> None:
    export(recorded.address, request_of("one").SerializeToString())
    with recorded.files()[0].open("ab") as file:
        file.write(b'{"resourceSpans": [')
    sent = send(recorded.directory, "--endpoint", f"http://{receiver.address}")
    assert (sent.exit_code, sent.stderr) == (1, "1 lines are no OTLP/JSON export requests\n")
    assert len(receiver.lines()) == 1


def test_a_refusal_and_a_missing_folder_are_one_line_each(recorded: RunningReceiver, tmp_path: Path) -> None:
    export(recorded.address, request_of("one").SerializeToString())
    refused = send(recorded.directory, "--endpoint", f"http://{recorded.address}/elsewhere")
    assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)
    assert "HTTP 404" in refused.stderr
    assert "0 spans were sent before" in refused.stderr
    missing = send(tmp_path / "missing")
    assert (missing.exit_code, missing.stderr.count("\n")) == (2, 1)
