"""gRPC calls from one context to another: one place sets the deadline, sends the trace, observes, types errors.

gRPC itself repeats what never reached a server that works: three attempts at UNAVAILABLE, with back-off, fewer as soon
as more than a few fail. A loop of our own around a call would repeat the repeats, and each attempt at a server that is
overloaded makes it more so. Repeats that may take minutes belong to the saga.
"""

import json
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from observability.telemetry.dependency import DependencyTelemetry
from observability.telemetry.rpc import client_call
from observability.telemetry.telemetry import Telemetry
from services.infra import deadline
from services.infra.address import Address, ip_version, parse_address
from services.infra.admission import waiting_downstream
from services.infra.crash_points import crash_points
from services.infra.rpc.errors import CODES, ErrorTranslation
from services.infra.rpc.guard import CallGuard
from services.infra.rpc.keepalive import CHANNEL_OPTIONS
from services.infra.rpc.server import MAX_MESSAGE_BYTES
from services.kernel.errors import DeadlineExceeded, ServiceError

# A call that got no answer for this long is given up, so that there is time left to repeat it.
CALL_SECONDS = 1.0
# Below this no call can come back in time.
USEFUL_SECONDS = 0.005
# 1,500 short SKUs of the longest kind travel in one status detail.
MAX_METADATA_BYTES = 256 * 1024

# All calls of the contexts may be repeated: their request ids make the second one return what the first did.
RETRIES: dict[str, Any] = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 3,
                "initialBackoff": "0.05s",
                "backoffMultiplier": 2,
                "maxBackoff": "1s",
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
    # Of several addresses, those that answer take turns.
    "loadBalancingConfig": [{"round_robin": {}}],
}
# A failure takes a token, a success gives a tenth back; with half of them gone nothing is repeated any more.
BUDGET: dict[str, Any] = {"retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1}}

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
    *CHANNEL_OPTIONS,
)


def open_channel(target: str, *, budget: bool = True) -> grpc.aio.Channel:
    """Return a channel to host:port, or to several IP addresses with commas between, whose turns it takes.

    It connects when first used, and again after a loss within a second. Without a budget each failure is repeated.
    """
    config = json.dumps(RETRIES | BUDGET if budget else RETRIES)
    if "," in target:
        target = f"ipv{ip_version(_first(target).host)}:{target}"
    return grpc.aio.insecure_channel(target, options=(*OPTIONS, ("grpc.service_config", config)))


class RpcClient:
    """The call site of one service's stub, at host:port, or at several of which the first is named in spans.

    Errors are the service's own and the kernel's. `dependency` names, where a part of a service has a guard of its own,
    that part.
    """

    def __init__(
        self,
        *,
        target: str,
        service: str,
        telemetry: Telemetry,
        errors: ErrorTranslation,
        call_seconds: float = CALL_SECONDS,
        guarded: bool = True,
        dependency: str | None = None,
    ) -> None:
        self._address = _first(target)
        self._guard = CallGuard(telemetry=DependencyTelemetry(telemetry, dependency or service), enabled=guarded)
        self._service = service
        self._telemetry = telemetry
        self._errors = errors
        self._call_seconds = call_seconds

    def check(self) -> None:
        """Raise CircuitOpen when a call would be refused now because the service is away."""
        self._guard.check()

    async def call(
        self, name: str, stub: "grpc.aio.UnaryUnaryMultiCallable[Request, Response]", request: Request
    ) -> Response:
        """Make one call within what is left of the deadline. Raises DeadlineExceeded when that is too little.

        Raises CircuitOpen and Overloaded when the call is not worth making.
        """
        timeout_seconds = min(deadline.remaining_seconds() - deadline.MARGIN_SECONDS, self._call_seconds)
        if timeout_seconds < USEFUL_SECONDS:
            raise DeadlineExceeded
        host, port = self._address
        with client_call(self._telemetry, f"{self._service}/{name}", address=host, port=port) as call:
            crash_points.reached(f"{name}.before_call")
            try:
                with self._guard.call(timeout_seconds=timeout_seconds), waiting_downstream():
                    response = await stub(request, timeout=timeout_seconds, metadata=tuple(call.metadata.items()))
            except grpc.aio.AioRpcError as error:
                call.status_code = error.code().name
                raise self._errors.from_call(error) from error
            except ServiceError as error:  # the guard's: no call was made
                call.status_code = CODES[error.kind].name
                raise
            crash_points.reached(f"{name}.after_call")
            call.status_code = "OK"
            return response


def _first(target: str) -> Address:
    """Return the first address of a target."""
    return parse_address(target.partition(",")[0])
