"""gRPC reflection, v1 and v1alpha: services, files, messages and methods by name, on streams that are limited."""

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
# The same messages with the same numbers: only the package differs. The library has the older version alone.
V1 = V1ALPHA.replace("v1alpha", "v1")
# A client asks one question after the other.
IDLE_SECONDS = 10.0

Context = grpc.aio.ServicerContext[ServerReflectionRequest, ServerReflectionResponse]


class Reflection:
    """Answers both versions for the services of one server."""

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
        """Answer one question after the other, until the client has no more or is idle for too long."""
        async with self.streams.admitted(context):
            while True:
                async with asyncio.timeout(IDLE_SECONDS):
                    request = await context.read()
                if not isinstance(request, ServerReflectionRequest):  # the end of the stream
                    return
                asked = ServerReflectionRequest()
                asked.CopyFrom(request)
                if request.HasField("file_containing_symbol"):
                    asked.file_containing_symbol = symbol_of_file(request.file_containing_symbol)
                answers = self._answers.ServerReflectionInfo(once(asked), context)
                async for response in cast("AsyncIterator[ServerReflectionResponse]", answers):
                    response.original_request.CopyFrom(request)
                    await context.write(response)


def add_v1_to_pool() -> None:
    """Let clients find the file of v1, too; adding it again changes nothing."""
    file = FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(file)
    file.name = "grpc/reflection/v1/reflection.proto"
    text = text_format.MessageToString(file).replace("v1alpha", "v1")
    descriptor_pool.Default().AddSerializedFile(text_format.Parse(text, FileDescriptorProto()).SerializeToString())


def symbol_of_file(name: str) -> str:
    """Return the name of a method's service, which the pool finds a file by; any other name as it is."""
    try:
        descriptor_pool.Default().FindMethodByName(name)
    except KeyError:
        return name
    return name.rpartition(".")[0]


async def once(request: ServerReflectionRequest) -> AsyncIterator[ServerReflectionRequest]:
    """Yield one request."""
    yield request
