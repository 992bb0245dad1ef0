"""How does one context call another? One place sets the time limit, sends the trace, observes and types the error."""

from typing import TypeVar

import grpc
from google.protobuf.message import Message

from observability.telemetry.rpc import client_call
from observability.telemetry.telemetry import Telemetry
from services.infra import deadline
from services.infra.crash_points import crash_points
from services.infra.rpc.errors import ErrorTranslation
from services.infra.rpc.server import MAX_MESSAGE_BYTES
from services.infra.settings import parse_address
from services.kernel.errors import DeadlineExceeded

# A call that got no answer for this long is given up, so that there is time left to repeat it.
CALL_SECONDS = 1.0
# Below this no call can come back in time.
USEFUL_SECONDS = 0.005
# 1,500 short SKUs of the longest kind travel in one status detail.
MAX_METADATA_BYTES = 256 * 1024

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)
OPTIONS = (
    # gRPC's own back-off grows to minutes and keeps a healed server away.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", MAX_METADATA_BYTES),
    ("grpc.absolute_max_metadata_size", MAX_METADATA_BYTES),
    ("grpc.enable_http_proxy", 0),
)


def open_channel(target: str) -> grpc.aio.Channel:
    """Return a channel to host:port; it connects when first used, and again after a loss within a second."""
    return grpc.aio.insecure_channel(target, options=OPTIONS)


class RpcClient:
    """The call site of one service's stub. Errors are the service's own and the kernel's."""

    def __init__(
        self,
        *,
        target: str,
        service: str,
        telemetry: Telemetry,
        errors: ErrorTranslation,
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        self._address = parse_address(target)
        self._service = service
        self._telemetry = telemetry
        self._errors = errors
        self._call_seconds = call_seconds

    async def call(
        self, name: str, stub: "grpc.aio.UnaryUnaryMultiCallable[Request, Response]", request: Request
    ) -> Response:
        """Make one call within what is left of the deadline. Raises DeadlineExceeded when that is too little."""
        timeout_seconds = min(deadline.remaining_seconds() - deadline.MARGIN_SECONDS, self._call_seconds)
        if timeout_seconds < USEFUL_SECONDS:
            raise DeadlineExceeded
        host, port = self._address
        with client_call(self._telemetry, f"{self._service}/{name}", address=host, port=port) as call:
            crash_points.reached(f"{name}.before_call")
            try:
                response = await stub(request, timeout=timeout_seconds, metadata=tuple(call.metadata.items()))
            except grpc.aio.AioRpcError as error:
                call.status_code = error.code().name
                raise self._errors.from_call(error) from error
            crash_points.reached(f"{name}.after_call")
            call.status_code = "OK"
            return response
