"""gRPC health service (grpc.health.v1) that reports the readiness of the process."""

import asyncio
from collections.abc import Collection
from typing import Any

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthServicer

from services.infra.readiness import Readiness
from services.infra.rpc.streams import Streams

# A client that does not read its stream is disconnected.
WRITE_SECONDS = 1.0


class Health(HealthServicer):
    """Reports for each service what /readyz reports for the process; "" means the whole server."""

    def __init__(self, *, readiness: Readiness, services: Collection[str]) -> None:
        self._readiness = readiness
        self._services = {"", *services}
        self._watches = Streams()

    async def Check(  # noqa: N802  # gRPC's name
        self, request: HealthCheckRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> HealthCheckResponse:
        """Return the current status; abort with NOT_FOUND for an unknown service."""
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, "this server has no such service")
        return self._response(request.service)

    async def Watch(  # noqa: N802  # gRPC's name
        self, request: HealthCheckRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> None:
        """Send the status, and again after each change, until the process drains."""
        async with self._watches.admitted(context):
            sent: HealthCheckResponse | None = None
            while True:
                # Read before the write: the process may begin to drain during it, which is the next change.
                change, response = self._readiness.next_change(), self._response(request.service)
                is_draining = self._readiness.is_draining
                if response != sent:
                    async with asyncio.timeout(WRITE_SECONDS):
                        await context.write(response)
                    sent = response
                if is_draining:
                    return
                await change.wait()

    def _response(self, service: str) -> HealthCheckResponse:
        if service not in self._services:
            return HealthCheckResponse(status=HealthCheckResponse.SERVICE_UNKNOWN)
        is_ready = self._readiness.is_ready
        return HealthCheckResponse(status=HealthCheckResponse.SERVING if is_ready else HealthCheckResponse.NOT_SERVING)
