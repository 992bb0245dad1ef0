"""gRPC server of a context: admits and parses calls, sets their deadline, records telemetry and maps errors.

Where handlers keep the processor busy, calls queue in gRPC's own threads, and Python knows of none of them until their
callers have left. So gRPC's own limits reject calls before `services.infra.admission` sees them.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias
from uuid import uuid4

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1.health import SERVICE_NAME as HEALTH
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server

from observability.telemetry.rpc import PREVIOUS_ATTEMPTS, Call, begin_at_zero, server_call
from observability.telemetry.telemetry import Telemetry
from services.infra import deadline
from services.infra.address import Address
from services.infra.admission import AdmissionController, DeadlineTooShort, Priority
from services.infra.readiness import Readiness
from services.infra.rpc.errors import CODES, DETAILS_KEY, ErrorTranslation
from services.infra.rpc.health import Health
from services.infra.rpc.keepalive import SERVER_OPTIONS
from services.infra.rpc.reflection import Reflection
from services.kernel.errors import (
    DeadlineExceeded,
    ErrorKind,
    Internal,
    InvalidField,
    Overloaded,
    ServiceError,
    Unavailable,
)

MAX_MESSAGE_BYTES = 256 * 1024
# One process has one database pool; with far more calls than connections they only wait for each other.
MAX_CONCURRENT_CALLS = 512
# Calls that Python has not accepted yet: beyond the first number gRPC rejects some, beyond the second all. Their
# callers get CANCELLED without details. Both options are undocumented, so a test checks that they still work.
MAX_PENDING_CALLS = 64
MOST_PENDING_CALLS = 128
# A call that has waited this long without being accepted is rejected.
MAX_PENDING_SECONDS = 2
# After a connection has reached its age, its calls and streams get this many seconds before they are cut off.
MOST_SECONDS_BEYOND_AGE = 10
# Tells gRPC's client that another attempt would fail in the same way.
DO_NOT_RETRY = ("grpc-retry-pushback-ms", "-1")

Method: TypeAlias = Callable[[Any], Awaitable[Message]]
Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"
OPTIONS = (
    ("grpc.so_reuseport", 0),  # a taken port must fail, not be shared
    ("grpc.server.max_pending_requests", MAX_PENDING_CALLS),
    ("grpc.server.max_pending_requests_hard_limit", MOST_PENDING_CALLS),
    ("grpc.server_max_unrequested_time_in_server", MAX_PENDING_SECONDS),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    *SERVER_OPTIONS,
)


class UnaryMethod:
    """Handler of one RPC, from request bytes to response bytes."""

    def __init__(
        self,
        method: Method,
        descriptor: MethodDescriptor,
        *,
        priority: Priority,
        admission: AdmissionController,
        telemetry: Telemetry,
        errors: ErrorTranslation,
        continues_traces: bool,
    ) -> None:
        self._method = method
        self._continues_traces = continues_traces
        self._priority = priority
        self._admission = admission
        self._request_type = GetMessageClass(descriptor.input_type)
        self._name = f"{descriptor.containing_service.full_name}/{descriptor.name}"
        self._telemetry = telemetry
        self._errors = errors
        begin_at_zero(telemetry, self._name)

    async def answer(self, payload: bytes, context: Context) -> bytes:
        """Answer one call. gRPC cancels it at its deadline, at any await.

        A rejected call is counted and has no span, which would cost more than the rejection.
        """
        metadata = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        time_remaining: float | None = context.time_remaining()
        seconds = deadline.DEFAULT_SECONDS if time_remaining is None else time_remaining
        is_retry = PREVIOUS_ATTEMPTS in metadata
        try:
            slot = self._admission.admit(self._name, self._priority, stage="grpc", remaining_seconds=seconds)
        except (Overloaded, DeadlineTooShort) as error:
            return await self._abort(context, without_not_begun(error) if is_retry else error)
        observed = server_call(self._telemetry, self._name, metadata, continues_trace=self._continues_traces)
        with slot, observed as call, deadline.within(seconds):
            context.set_trailing_metadata(_traceresponse(call))
            try:
                response = await self._method(self._parse(payload))
                call.status_code = "OK"
                return response.SerializeToString()
            except ServiceError as error:
                failure = without_not_begun(error) if is_retry else error
            except Exception as bug:  # noqa: BLE001  # the boundary: logged with its stack, answered as INTERNAL
                failure = self._report(bug)
            call.status_code = CODES[failure.kind].name
            return await self._abort(context, failure, *_traceresponse(call))

    def _parse(self, payload: bytes) -> Message:
        try:
            return self._request_type.FromString(payload)
        except DecodeError as error:
            raise InvalidField("", "INVALID_MESSAGE", "is not a valid message of this RPC") from error

    def _report(self, bug: Exception) -> Internal:
        error_id = str(uuid4())
        self._telemetry.log.error("rpc.bug_found", rpc_method=self._name, error_id=error_id, exc_info=bug)
        return Internal(error_id)

    async def _abort(self, context: Context, error: ServiceError, *more: tuple[str, str]) -> bytes:
        details = (DETAILS_KEY, self._errors.to_status(error).SerializeToString())
        # Our dependency is down, so tell clients not to retry. gRPC retries only UNAVAILABLE without this metadata.
        pushback = (DO_NOT_RETRY,) if error.kind is ErrorKind.UNAVAILABLE else ()
        await context.abort(CODES[error.kind], str(error), trailing_metadata=(details, *pushback, *more))
        raise AssertionError("abort raises")


def without_not_begun(error: ServiceError) -> ServiceError:
    """Return the error of a retry without the claim that the call was not begun: an earlier attempt may have been."""
    match error:
        case Overloaded():
            return Unavailable(error.retry_after_seconds)
        case DeadlineTooShort():
            return DeadlineExceeded()
    return error


def age_options(seconds: float | None) -> tuple[tuple[str, int], ...]:
    """Return gRPC's options that end a connection after this age; none if there is no age."""
    if seconds is None:
        return ()
    return (
        ("grpc.max_connection_age_ms", round(1_000 * seconds)),
        ("grpc.max_connection_age_grace_ms", 1_000 * MOST_SECONDS_BEYOND_AGE),
    )


def _traceresponse(call: Call) -> tuple[tuple[str, str], ...]:
    return (("traceresponse", call.traceresponse),) if call.traceresponse else ()


class RpcServer:
    """Serves contexts over gRPC with health and reflection; implements `lifecycle.Server`.

    `readiness` gives the status of the health service, and ends its streams when the process drains.
    `connection_age_seconds` is the age at which a client is told to connect again; None means never.
    """

    def __init__(
        self,
        *,
        name: str,
        listen: Address,
        admission: AdmissionController,
        readiness: Readiness,
        connection_age_seconds: float | None = None,
    ) -> None:
        self._name = name
        self._admission = admission
        self._readiness = readiness
        self._listen = listen
        self._server = grpc.aio.server(
            options=(*OPTIONS, *age_options(connection_age_seconds)), maximum_concurrent_rpcs=MAX_CONCURRENT_CALLS
        )
        self._services: list[str] = []
        self._reflection: Reflection | None = None

    def add(
        self,
        service: ServiceDescriptor,
        methods: Mapping[str, tuple[Priority, Method]],
        *,
        telemetry: Telemetry,
        errors: ErrorTranslation,
        continues_traces: bool = True,
    ) -> None:
        """Register a service. `continues_traces` is False for public callers: their calls begin traces of their own.

        Raises ValueError if the methods are not exactly the RPCs of its proto.
        """
        if set(methods) != set(service.methods_by_name):
            raise ValueError(f"{service.full_name} has {sorted(service.methods_by_name)}, got {sorted(methods)}")
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
        for name, (priority, method) in methods.items():
            unary = UnaryMethod(
                method,
                service.methods_by_name[name],
                priority=priority,
                admission=self._admission,
                telemetry=telemetry,
                errors=errors,
                continues_traces=continues_traces,
            )
            handlers[name] = grpc.unary_unary_rpc_method_handler(unary.answer)
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, handlers),))
        self._services.append(service.full_name)

    async def start(self) -> dict[str, str]:
        """Listen, serve, and return {name: host:port}. Raises OSError when the address is taken."""
        add_HealthServicer_to_server(Health(readiness=self._readiness, services=self._services), self._server)
        self._reflection = Reflection([*self._services, HEALTH])
        self._reflection.add_to(self._server)
        try:
            port = self._server.add_insecure_port(str(self._listen))
        except RuntimeError as error:
            raise OSError(
                f"cannot listen on {self._listen}: the port is taken, or the host is not an address of this machine"
            ) from error
        await self._server.start()
        return {self._name: str(Address(self._listen.host, port))}

    async def announce_drain(self) -> None:
        """End the reflection streams, which would delay the drain; calls are still answered."""
        if self._reflection:
            self._reflection.streams.end()

    async def stop(self, *, grace_seconds: float) -> None:
        """Reject new calls with UNAVAILABLE, let calls in flight end within the grace, then close."""
        await self._server.stop(grace_seconds)
