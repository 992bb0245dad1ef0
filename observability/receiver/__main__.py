"""The receiver's process: `python -m observability.receiver`."""

import logging
import os
import sys

import uvloop
from pydantic import ValidationError

from observability.receiver.counts import Counts
from observability.receiver.server import CannotStart, serve
from observability.receiver.settings import ReceiverSettings
from observability.telemetry.environment import unknown_settings
from observability.telemetry.logs import make_logger, open_outputs, take_over_library_logs, take_over_standard_error

_EXIT_FAILED = 1
_EXIT_USAGE = 2


def main() -> int:
    """Run the receiver and return its exit status: 0 after SIGTERM or Ctrl-C, 1 or 2 when it cannot start."""
    known = [f"RECEIVER_{field.upper()}" for field in ReceiverSettings.model_fields]
    if unknown := unknown_settings(os.environ, prefix="RECEIVER_", known=known):
        return _fail("; ".join(unknown), _EXIT_USAGE)
    try:
        settings = ReceiverSettings.model_validate({})
    except ValidationError as error:
        return _fail("; ".join(_sentence(each["loc"], each["msg"]) for each in error.errors()), _EXIT_USAGE)
    counts = Counts()
    outputs = open_outputs("receiver", on_dropped=counts.count_dropped_log_lines)
    log = make_logger(service_name="receiver", level=logging.INFO, outputs=outputs)
    take_over_library_logs(log)
    take_over_standard_error(log)
    try:
        uvloop.run(serve(settings, counts=counts, log=log))
    except CannotStart as error:
        return _fail(str(error), _EXIT_FAILED)
    finally:
        outputs.close()
    return 0


def _sentence(location: tuple[int | str, ...], message: str) -> str:
    name = f"RECEIVER_{str(location[0]).upper()}: " if location else ""
    return name + message.removeprefix("Value error, ")


def _fail(message: str, status: int) -> int:
    sys.stderr.write(f"receiver: {message}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
