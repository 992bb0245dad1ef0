"""Common parts of the benchmark commands: running the measurement, the folder of a run, and its result file."""

from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import orjson
from rich.console import Console

from observability.demo.folders import make_run_directory, remove_run_directory, write_file
from services.local.processes.signals import Interrupted, run_interruptible

T = TypeVar("T")


def run_measurement(measurement: Callable[[], Coroutine[Any, Any, T]], console: Console) -> T:
    """Run to the end, or until a signal. Raises Interrupted once everything is stopped."""
    return run_interruptible(measurement, again=lambda: console.print("already stopping"))


@contextmanager
def run_folder(output: Path) -> Iterator[Path]:
    """Make a folder for one run; remove it when the run is interrupted. Raises DemoError."""
    folder = make_run_directory(output)
    try:
        yield folder
    except Interrupted:
        remove_run_directory(folder)
        raise


def write_result(folder: Path, document: Mapping[str, object], console: Console) -> None:
    """Write result.json and print where it is. Raises DemoError."""
    path = folder / "result.json"
    write_file(path, orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS))
    console.print(f"written to {path}", markup=False, soft_wrap=True)
