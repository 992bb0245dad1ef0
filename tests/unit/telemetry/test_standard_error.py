"""Standard error of a process with telemetry: a stalled reader does not block its exit, and files are appended to."""

import os
import subprocess
import sys
from pathlib import Path

LAST_WORDS = """
import sys
from observability.telemetry import setup
runtime = setup.start("order", log_level="info")
sys.exit("the last words")
"""
# As on a machine that does not set PYTHONUNBUFFERED; many images do.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
ENVIRONMENT["OTEL_TRACES_EXPORTER"] = "none"
LIMIT_SECONDS = 60.0


def test_a_reader_that_stalls_does_not_hold_the_end_up() -> None:
    """The pipe is full before the process writes its first word."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    while True:
        try:
            os.write(writer, b"x" * 4096)
        except BlockingIOError:
            break
    os.set_blocking(writer, True)
    ended = subprocess.run(
        [sys.executable, "-c", LAST_WORDS], stderr=writer, env=ENVIRONMENT, timeout=LIMIT_SECONDS, check=False
    )
    os.close(reader)
    os.close(writer)
    assert ended.returncode == 1


def test_processes_of_one_file_append_to_each_other(tmp_path: Path) -> None:
    """As `(one; two) 2> file` does."""
    with (tmp_path / "err").open("wb") as file:
        for _ in range(2):
            subprocess.run(
                [sys.executable, "-c", LAST_WORDS], stderr=file, env=ENVIRONMENT, timeout=LIMIT_SECONDS, check=False
            )
    assert (tmp_path / "err").read_text() == "the last words\n" * 2
