"""gRPC server reflection, v1 and v1alpha, with a limit on its streams."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any, cast

import grpc
from google.protobuf import descriptor_pool, text_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection, reflection_pb2
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from services.infra.rpc.streams import Streams

V1ALPHA = reflection.SERVICE_NAME
# Only the package differs; messages and field numbers are the same. The library supports v1alpha only.
V1 = V1ALPHA.replace("v1alpha", "v1")
# A client that sends no request for this long is disconnected.
IDLE_SECONDS = 10.0

Context = grpc.aio.ServicerContext[ServerReflectionRequest, ServerReflectionResponse]


class Reflection:
    """Serves both versions of reflection for the services of one server."""

    def __init__(self, services: Iterable[str]) -> None:
        add_v1_to_pool()
        self._answers = reflection.aio.ReflectionServicer([*services, V1, V1ALPHA])
        self.streams = Streams()

    def add_to(self, server: grpc.aio.Server) -> None:
        """Register both services."""
        handler: grpc.RpcMethodHandler[Any, Any] = grpc.stream_stream_rpc_method_handler(
            self._serve,
            request_deserializer=ServerReflectionRequest.FromString,
            response_serializer=ServerReflectionResponse.SerializeToString,
        )
        for name in (V1, V1ALPHA):
            handlers = {"ServerReflectionInfo": handler}
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))

    async def _serve(self, _requests: object, context: Context) -> None:
        """Answer requests in turn, until the client closes the stream or is idle for too long."""
        async with self.streams.admitted(context):
            while True:
                async with asyncio.timeout(IDLE_SECONDS):
                    request = await context.read()
                if not isinstance(request, ServerReflectionRequest):  # the end of the stream
                    return
                resolved = ServerReflectionRequest()
                resolved.CopyFrom(request)
                if request.HasField("file_containing_symbol"):
                    resolved.file_containing_symbol = symbol_of_file(request.file_containing_symbol)
                answers = self._answers.ServerReflectionInfo(single_request(resolved), context)
                async for response in cast("AsyncIterator[ServerReflectionResponse]", answers):
                    response.original_request.CopyFrom(request)
                    await context.write(response)


def add_v1_to_pool() -> None:
    """Add the file of v1 to the default pool, where reflection finds it; adding it again changes nothing."""
    file = FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(file)
    file.name = "grpc/reflection/v1/reflection.proto"
    text = text_format.MessageToString(file).replace("v1alpha", "v1")
    descriptor_pool.Default().AddSerializedFile(text_format.Parse(text, FileDescriptorProto()).SerializeToString())


def symbol_of_file(name: str) -> str:
    """Return the service of a method, since the pool has no files by method; any other name unchanged."""
    try:
        descriptor_pool.Default().FindMethodByName(name)
    except KeyError:
        return name
    return name.rpartition(".")[0]


async def single_request(request: ServerReflectionRequest) -> AsyncIterator[ServerReflectionRequest]:
    """Yield one request."""
    yield request
