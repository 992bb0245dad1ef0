"""`python -m observability.load.generator`: sends the load of a run from a separate process, on its own core.

Reads one line of JSON, a GeneratorTask, from standard input, and writes progress to standard output as lines of JSON.
It stops when its standard input ends, since its parent is gone then.
"""

import os
import signal
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson
from pydantic import TypeAdapter

from observability.load.arrival_plan import plan_orders, plan_requests, with_hot_customers
from observability.load.errors import LoadError
from observability.load.options import LoadOptions, Progress
from observability.load.result import LoadResult, write_result
from observability.load.runner import run_closed, run_open

_EXIT_SIGNAL_BASE = 128


@dataclass(frozen=True, slots=True)
class GeneratorTask:
    """The load to send, and where to write the LoadResult.

    options: target and connections; with `concurrency` the loop is closed.
    rate_per_second: orders due a second; not used in a closed loop.
    duration_seconds: length of the run, of either loop.
    result_path: file of the result.
    lines, surge, counted, looked_at: as in `plan_orders`.
    hot_customers, hot_share: as in `with_hot_customers`; none if empty.
    requests: most orders of a closed loop.
    sku_prefix: as in `plan_requests`.
    """

    options: LoadOptions
    rate_per_second: float
    duration_seconds: float
    result_path: Path
    lines: tuple[int, int] | None = None
    surge: float = 1.0
    counted: bool = False
    looked_at: int | None = None
    hot_customers: tuple[str, ...] = ()
    hot_share: float = 0.0
    requests: int = 0
    sku_prefix: str = ""

    def to_json_line(self) -> bytes:
        """Encode the task for the generator's standard input."""
        return orjson.dumps(asdict(self), default=str, option=orjson.OPT_APPEND_NEWLINE)


def main() -> int:
    """Run one task and return the exit status; a failure is one line on standard error."""
    task = TypeAdapter(GeneratorTask).validate_json(sys.stdin.buffer.readline())
    threading.Thread(target=_stop_with_parent, name="stop-with-parent", daemon=True).start()
    try:
        result = _run(task)
        write_result(result, task.result_path)
    except LoadError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0 if result.stop_signal is None else _EXIT_SIGNAL_BASE + result.stop_signal


def _run(task: GeneratorTask) -> LoadResult:
    if task.options.concurrency is not None:
        closed = plan_requests(
            requests=task.requests, seed=task.options.seed, lines=task.lines, sku_prefix=task.sku_prefix
        )
        return run_closed(closed, task.options, on_progress=_report)
    plan = plan_orders(
        rate_per_second=task.rate_per_second,
        duration_seconds=task.duration_seconds,
        seed=task.options.seed,
        lines=task.lines,
        surge=task.surge,
        counted=task.counted,
        looked_at=task.looked_at,
    )
    if task.hot_customers:
        plan = with_hot_customers(plan, task.hot_customers, share=task.hot_share, seed=task.options.seed)
    return run_open(plan, task.options, on_progress=_report)


def _report(progress: Progress) -> None:
    sys.stdout.buffer.write(orjson.dumps(progress, option=orjson.OPT_APPEND_NEWLINE))
    sys.stdout.buffer.flush()


def _stop_with_parent() -> None:
    # Unbuffered: at exit Python could not take a buffered reader's lock from a thread that waits in it.
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
