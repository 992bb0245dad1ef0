"""Results of reflection in both versions: services, messages, methods, and the file of reflection itself."""

from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from services.inventory.rpc.server import SERVICE
from tests.integration.infra.test_health import serving
from tests.patience import PATIENCE_SECONDS


async def answer(version: str, request: ServerReflectionRequest) -> ServerReflectionResponse:
    """Return a real server's answer to one question."""
    async with serving() as running, grpc.aio.insecure_channel(running.target) as channel:
        method: Any = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=ServerReflectionRequest.SerializeToString,
            response_deserializer=ServerReflectionResponse.FromString,
        )
        answers: list[ServerReflectionResponse] = [
            response async for response in method(iter([request]), timeout=PATIENCE_SECONDS)
        ]
    assert [response.original_request for response in answers] == [request]
    return answers[0]


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_services_are_listed(version: str) -> None:
    response = await answer(version, ServerReflectionRequest(list_services=""))
    names = {service.name for service in response.list_services_response.service}
    reflections = {f"grpc.reflection.{each}.ServerReflection" for each in ("v1", "v1alpha")}
    assert names == {SERVICE.full_name, "grpc.health.v1.Health", *reflections}


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
@pytest.mark.parametrize(
    ("symbol", "file"),
    [
        (SERVICE.full_name, SERVICE.file.name),
        (f"{SERVICE.full_name}.GetStock", SERVICE.file.name),
        ("shop.inventory.v1.GetStockRequest", SERVICE.file.name),
        ("grpc.reflection.v1.ServerReflection", "grpc/reflection/v1/reflection.proto"),
    ],
)
async def test_a_symbol_leads_to_its_file(version: str, symbol: str, file: str) -> None:
    response = await answer(version, ServerReflectionRequest(file_containing_symbol=symbol))
    files = map(FileDescriptorProto.FromString, response.file_descriptor_response.file_descriptor_proto)
    assert file in {found.name for found in files}


async def test_a_symbol_that_is_not_there_is_not_found() -> None:
    response = await answer("v1", ServerReflectionRequest(file_containing_symbol="shop.inventory.v1.Nothing"))
    assert response.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
