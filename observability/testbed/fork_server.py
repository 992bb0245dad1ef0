"""Fork server: imports one program once, and forks it for each start, so that starts do not pay for the imports.

    python -m observability.testbed.fork_server MODULE ARGUMENT ...

It forks for each line of JSON on standard input: {"environment": {...}, "log": PATH}. It answers {"started": pid}, and
{"exited": status} when the child has ended (-9 means SIGKILL). One child runs at a time. The server ends with its
input, and no child outlives it. A child is in the state of a new interpreter after its imports: before the fork there
is no thread, no connection and no event loop.
"""

import ctypes
import gc
import importlib
import json
import os
import runpy
import select
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1


def main(module: str, arguments: list[str]) -> None:
    """Import the module, and fork for each request until the input ends."""
    importlib.import_module(f"{module}.__main__")
    del sys.modules[f"{module}.__main__"]  # each child runs it again
    gc.collect()
    gc.freeze()  # the collector must not touch, and so copy, the memory shared with the children
    wakeup_read, wakeup_write = os.pipe()
    os.set_blocking(wakeup_write, False)
    signal.set_wakeup_fd(wakeup_write)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the campaign, which ends this process
    answer({"ready": os.getpid()})
    while request := sys.stdin.readline():
        child = fork(module, arguments, json.loads(request))
        answer({"started": child})
        answer({"exited": wait_for_child(child, wakeup_read)})


def answer(message: dict[str, int]) -> None:
    """Write one line of JSON to standard output."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def wait_for_child(child: int, wakeup: int) -> int:
    """Wait for the child's end and return its exit status; kill the child and exit if the input ends before."""
    while True:
        ready, _, _ = select.select([sys.stdin, wakeup], [], [])
        if wakeup in ready:
            os.read(wakeup, 4096)
        elif not os.read(sys.stdin.fileno(), 1):  # no request comes while a child runs, so this is the end of the input
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            sys.exit(0)
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)


def fork(module: str, arguments: list[str], request: dict[str, object]) -> int:
    """Start the program in a child with the request's environment and log; return its pid."""
    server = os.getpid()
    child = os.fork()
    if child:
        return child
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != server:
        os._exit(1)
    os.setsid()
    redirect(Path(str(request["log"])))
    environment = request["environment"]
    assert isinstance(environment, dict)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [module, *arguments]
    os._exit(run(module))


def redirect(log: Path) -> None:
    """Connect standard input to /dev/null, and standard output and error to the log."""
    null = os.open(os.devnull, os.O_RDONLY)
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(null, 0)
    os.dup2(written, 1)
    os.dup2(written, 2)


def run(module: str) -> int:
    """Run the program as `python -m` does, and return its exit status."""
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
            return 1
        return end.code or 0
    except BaseException:  # noqa: BLE001  # last frame of the process: report it as the interpreter does
        sys.excepthook(*sys.exc_info())
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
