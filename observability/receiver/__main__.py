"""`python -m observability.receiver`: receives traces until SIGTERM."""

import sys

import orjson
import structlog
import uvloop
from pydantic import ValidationError

from observability.receiver.server import CannotStart, serve
from observability.receiver.settings import ReceiverSettings

_EXIT_FAILED = 1
_EXIT_USAGE = 2


def main() -> int:
    """Run the receiver and return its exit status: 0 after SIGTERM or Ctrl-C, 1 or 2 when it cannot start."""
    try:
        settings = ReceiverSettings.model_validate({})
    except ValidationError as error:
        return _fail("; ".join(_sentence(each["loc"], each["msg"]) for each in error.errors()), _EXIT_USAGE)
    try:
        uvloop.run(serve(settings, log=_make_logger()))
    except CannotStart as error:
        return _fail(str(error), _EXIT_FAILED)
    return 0


def _sentence(location: tuple[int | str, ...], message: str) -> str:
    name = f"RECEIVER_{str(location[0]).upper()}: " if location else ""
    return name + message.removeprefix("Value error, ")


def _fail(message: str, status: int) -> int:
    sys.stderr.write(f"receiver: {message}\n")
    return status


def _make_logger() -> structlog.typing.FilteringBoundLogger:
    """Log one JSON object a line on standard output, as the services do."""
    logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        structlog.BytesLogger(sys.stdout.buffer),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=_to_json),
        ],
    )
    return logger.bind(service="receiver")


def _to_json(value: object, **_: object) -> bytes:
    return orjson.dumps(value, default=str)


if __name__ == "__main__":
    sys.exit(main())
