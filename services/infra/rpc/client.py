"""gRPC client: sets the deadline, sends the trace context, records telemetry and returns typed errors.

gRPC itself retries calls that did not reach a working server: three attempts at UNAVAILABLE with back-off, fewer once
more than a few fail. A retry loop around the call would multiply the attempts, and each attempt adds load to an
overloaded server. Retries over minutes belong to the saga.
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

# Timeout of a call, short enough that time is left for a retry.
CALL_SECONDS = 1.0
# With less time than this no call can succeed.
USEFUL_SECONDS = 0.005
# One status detail can hold 1,500 SKUs of the greatest length.
MAX_METADATA_BYTES = 256 * 1024

# All calls of the contexts may be retried: their request ids make a repeat return the first result.
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
    # Calls rotate over the addresses that are connected.
    "loadBalancingConfig": [{"round_robin": {}}],
}
# Retry budget: a failure takes a token, a success returns a tenth; below half of the tokens there are no retries.
BUDGET: dict[str, Any] = {"retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1}}

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)
OPTIONS = (
    # By default gRPC's back-off grows to minutes, during which a recovered server gets no calls.
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
    """Return a channel to host:port, or to several IP addresses separated by commas, over which calls rotate.

    It connects when first used, and reconnects within a second after a loss. `budget=False` removes the retry budget.
    """
    config = json.dumps(RETRIES | BUDGET if budget else RETRIES)
    if "," in target:
        target = f"ipv{ip_version(_first(target).host)}:{target}"
    return grpc.aio.insecure_channel(target, options=(*OPTIONS, ("grpc.service_config", config)))


class RpcClient:
    """Client of one service; calls raise the service's own errors and the kernel's.

    target: host:port, or several addresses separated by commas; spans name the first
    service: full name of the gRPC service
    errors: translation of the service's errors
    call_seconds: timeout of a call, shortened by the caller's deadline
    guarded: False calls without circuit breaker and throttle
    dependency: name of the guard in metrics, for a part of a service with a guard of its own; default `service`
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
        """Raise CircuitOpen if a call would be rejected now because the service is unavailable."""
        self._guard.check()

    async def call(
        self, name: str, stub: "grpc.aio.UnaryUnaryMultiCallable[Request, Response]", request: Request
    ) -> Response:
        """Make one call within the rest of the deadline. Raises DeadlineExceeded if too little is left.

        Raises CircuitOpen or Overloaded if the guard rejects the call.
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
            except ServiceError as error:  # from the guard: no call was made
                call.status_code = CODES[error.kind].name
                raise
            crash_points.reached(f"{name}.after_call")
            call.status_code = "OK"
            return response


def _first(target: str) -> Address:
    """Return the first address of a target."""
    return parse_address(target.partition(",")[0])
