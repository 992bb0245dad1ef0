"""Additions to the generated OpenAPI document: error answers, headers, and links between operations."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from services.edge.problems import MEDIA_TYPE
from services.edge.schemas import Problem

Answers = dict[int | str, dict[str, Any]]


def header(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Return the OpenAPI entry of a header that an answer always has."""
    return {"description": description, "required": True, "schema": schema}


ERROR_HEADERS = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": header("The required authentication scheme.", {"type": "string"})},
    HTTPStatus.SERVICE_UNAVAILABLE: {
        "Retry-After": header("Seconds to wait before a retry.", {"type": "integer", "minimum": 1})
    },
}
CONSISTENCY_TOKEN = {
    "Consistency-Token": header(
        "Pass it to a read of the order or the list of orders, which then has this version or a later one.",
        {"type": "string"},
    )
}
# A request that admission control rejects has no trace, so this header is optional.
TRACERESPONSE = {
    "traceresponse": {
        "description": "The trace of the request, as in W3C Trace Context: version, trace id, span id, flags.",
        "required": False,
        "schema": {"type": "string", "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"},
    }
}
LOCATION = {
    "Location": header("Where the order can be read.", {"type": "string", "pattern": "^/orders/[0-9a-f-]{36}$"}),
    **CONSISTENCY_TOKEN,
}
# Links from a placed order to further operations; test generators need them too, since they cannot guess ids.
AFTER_PLACING = {
    "get": {
        "operationId": "get_order",
        "parameters": {
            "order_id": "$response.body#/order_id",
            "consistency_token": "$response.header.Consistency-Token",
        },
    },
    "cancel": {"operationId": "cancel_order", "parameters": {"order_id": "$response.body#/order_id"}},
    "list": {
        "operationId": "list_orders",
        "parameters": {
            "customer_id": "$response.body#/customer_id",
            "consistency_token": "$response.header.Consistency-Token",
        },
    },
}
NEXT_PAGE = {
    "next": {
        "operationId": "list_orders",
        "parameters": {
            "customer_id": "$request.path.customer_id",
            "page_token": "$response.body#/next_page_token",
        },
    }
}


def errors(*statuses: int) -> Answers:
    """Return the OpenAPI entries of error answers, all of them problems."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": content,
            "headers": ERROR_HEADERS.get(HTTPStatus(status), {}),
        }
        for status in statuses
    }


def operation_id(route: APIRoute) -> str:
    """Return the operation id of a route: the name of its function."""
    return route.name


def complete(application: FastAPI) -> None:
    """Add Problem to the OpenAPI document, and remove FastAPI's own validation error, which is never sent."""
    generate: Callable[[], dict[str, Any]] = application.openapi

    def completed() -> dict[str, Any]:
        document = generate()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= schemas["Problem"].pop("$defs", {})
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        for operations in document["paths"].values():
            for operation in operations.values():
                if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                    del operation["responses"]["422"]
                for answer in operation["responses"].values():
                    answer["headers"] = {**answer.get("headers", {}), **TRACERESPONSE}
        return document

    application.openapi = completed  # type: ignore[method-assign]  # FastAPI documents this way to extend it
