"""Fork server: imports a program once, and forks it for each start, so that starts do not pay for the imports.

The supervisor runs `python -m services.local.processes.fork_server MODULE` with a socket as standard input, which ends
the server when it closes. For each start it sends one line of JSON, the SPEC of child_reaper.py with the child's
"environment", and two descriptors: the reaper's socket, and the child's log. The server is the reaper of this child
until it has ended, and reads the next line then. A child is in the state of a new interpreter after its imports: before
the fork there is no thread, no connection and no event loop.
"""

import gc
import importlib
import json
import os
import runpy
import socket
import sys
from typing import Any

from services.local.processes.child_reaper import ChildReaper

REQUEST_BYTES = 1 << 16


def main(module: str) -> None:
    """Import the module, and fork for each request until the input ends."""
    importlib.import_module(f"{module}.__main__")
    del sys.modules[f"{module}.__main__"]  # each child runs it again
    gc.collect()
    gc.freeze()  # the collector must not touch, and so copy, the memory shared with the children
    requests = socket.socket(fileno=sys.stdin.fileno())
    while (request := receive(requests)) is not None:
        spec, control_fd, log_fd = request
        reaper = ChildReaper(spec, control_fd=control_fd)
        reaper.run(lambda spec=spec, log_fd=log_fd: run(spec, log_fd))  # type: ignore[misc]
        reaper.close()
        os.close(log_fd)


def receive(requests: socket.socket) -> tuple[dict[str, Any], int, int] | None:
    """Return the next request: spec, socket and log; None at the end of the input."""
    line, descriptors, _, _ = socket.recv_fds(requests, REQUEST_BYTES, 2)
    while not line.endswith(b"\n"):
        more = requests.recv(REQUEST_BYTES)
        if not more:
            return None
        line += more
    control_fd, log_fd = descriptors
    return json.loads(line), control_fd, log_fd


def run(spec: dict[str, Any], log_fd: int) -> int:
    """Run the spec's `python -m MODULE ARGUMENT ...` in this process, and return its exit status."""
    null_fd = os.open(os.devnull, os.O_RDONLY)
    for descriptor, number in ((null_fd, 0), (log_fd, 1), (log_fd, 2)):
        os.dup2(descriptor, number)
    os.close(null_fd)
    os.close(log_fd)
    os.environ.clear()
    os.environ.update(spec["environment"])
    sys.argv = spec["command"][2:]
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
            return 1
        return end.code or 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    main(sys.argv[1])
