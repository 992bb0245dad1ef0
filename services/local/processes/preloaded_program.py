"""Preloaded program: a fork server that has imported a Python program, and forks one process of it at a time."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from services.local.processes.scratch_folder import Scratch

CLOSE_SECONDS = 30.0


class PreloadedProgram:
    """A fork server (fork_server.py) and the socket to it; `server` is the reaper of the processes it forks."""

    def __init__(self, module: str, *, scratch: Scratch, log_path: Path) -> None:
        """Start the fork server, which imports the module; starts wait for it."""
        self._requests, theirs = socket.socketpair()
        with theirs, open_log(log_path) as log:
            self.server = subprocess.Popen(
                [sys.executable, "-m", "services.local.processes.fork_server", module],
                stdin=theirs.fileno(),
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(scratch.lock_descriptor,),
                start_new_session=True,
            )
        scratch.record(f"{module} reaper", self.server.pid)

    def start(self, spec: Mapping[str, object], *, control: socket.socket, log: BinaryIO) -> None:
        """Ask for a process; the one before must have ended. Raises OSError if the server has ended."""
        socket.send_fds(self._requests, [json.dumps(spec).encode() + b"\n"], [control.fileno(), log.fileno()])

    async def close(self) -> None:
        """End the server, which stops its process first, if one runs."""
        self._requests.close()
        self.server.terminate()
        try:
            await asyncio.to_thread(self.server.wait, CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self.server.kill()
            await asyncio.to_thread(self.server.wait)


def open_log(path: Path) -> BinaryIO:
    """Open the log for appending, since a restarted process continues the log of the one before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("ab")
