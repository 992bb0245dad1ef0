"""Mapping of all errors to problem+json answers (RFC 9457)."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from observability.telemetry.telemetry import Telemetry
from services.edge.caller import NO_STORE, CallerUnknown
from services.edge.schemas import FieldProblem, Problem, ShortageBody
from services.kernel.errors import ErrorKind, Internal, InvalidField, Overloaded, ServiceError, Unavailable
from services.order import api

MEDIA_TYPE = "application/problem+json"
# Wrong fields that one answer lists.
MOST_LISTED = 20
LONGEST_NAME = 100
STATUSES = {
    ErrorKind.INVALID: HTTPStatus.BAD_REQUEST,
    ErrorKind.REUSED: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorKind.NOT_FOUND: HTTPStatus.NOT_FOUND,
    ErrorKind.PRECONDITION: HTTPStatus.CONFLICT,
    ErrorKind.CONFLICT: HTTPStatus.CONFLICT,
    ErrorKind.OVERLOADED: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorKind.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorKind.DEADLINE: HTTPStatus.GATEWAY_TIMEOUT,
    ErrorKind.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
}


def answer(status: HTTPStatus, reason: str, detail: str, **data: Any) -> JSONResponse:
    """Return a problem+json answer; data that are None are left out."""
    kind = f"urn:shop:problem:{reason.lower().replace('_', '-')}"
    problem = Problem(type=kind, title=status.phrase, status=status, detail=detail, reason=reason, **data)
    content, headers = problem.model_dump(mode="json", exclude_none=True), {"Cache-Control": NO_STORE}
    return JSONResponse(content, status, headers, media_type=MEDIA_TYPE)


def data_of(error: ServiceError) -> dict[str, Any]:
    """Return the data of an error, under the field names of Problem."""
    match error:
        case InvalidField():
            problem = FieldProblem(field=error.field, reason=error.reason, description=error.description)
            return {"errors": [problem]}
        case api.OutOfStock():
            return {"order_id": error.order_id, "shortages": [ShortageBody.of(short) for short in error.shortages]}
    # The other errors carry plain values under the field names of Problem.
    carried = ("error_id", "order_id", "rejection_reason", "skus")
    return {name: getattr(error, name) for name in carried if hasattr(error, name)}


def from_service(_request: Request, error: Exception) -> JSONResponse:
    """Answer an error that a context raised."""
    assert isinstance(error, ServiceError)
    response = answer(STATUSES[error.kind], error.reason, str(error), **data_of(error))
    if isinstance(error, Overloaded | Unavailable):
        response.headers["Retry-After"] = str(max(1, round(error.retry_after_seconds)))
    return response


def from_caller(_request: Request, _error: Exception) -> JSONResponse:
    """Answer a request that does not identify its caller."""
    detail = "The X-Customer-Id header must hold the calling customer's UUID."
    response = answer(HTTPStatus.UNAUTHORIZED, "CALLER_UNKNOWN", detail)
    response.headers["WWW-Authenticate"] = "ApiKey"
    return response


def from_validation(_request: Request, error: Exception) -> JSONResponse:
    """Answer a request that violates the schema, field by field, or whose body is not declared as JSON."""
    assert isinstance(error, RequestValidationError)
    if isinstance(error.body, bytes):  # FastAPI parses only bodies that are declared as JSON
        detail = "Send the body as Content-Type: application/json."
        return answer(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", detail)
    problems = [field_problem(found["loc"], found["msg"], found["type"]) for found in error.errors()[:MOST_LISTED]]
    return answer(HTTPStatus.BAD_REQUEST, problems[0].reason, "The request does not match the schema.", errors=problems)


def field_problem(location: Iterable[str | int], message: str, kind: str) -> FieldProblem:
    """Return the problem of one field, named as in `lines[3].quantity`; its reason comes from the last name.

    The name of an unknown field is the client's own: it is cut, and is no part of the reason.
    """
    where, *path = location
    names = [name for name in path if isinstance(name, str)]
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
    if where == "body" and not names:  # the body as a whole, or a position in invalid JSON
        return FieldProblem(field="body", reason="INVALID_BODY", description=message)
    if kind == "extra_forbidden":
        return FieldProblem(field=field[:LONGEST_NAME], reason="UNKNOWN_FIELD", description=message)
    reason = f"INVALID_{names[-1].upper().replace('-', '_')}"
    return FieldProblem(field=field, reason=reason, description=message)


def from_http(_request: Request, error: Exception) -> JSONResponse:
    """Answer an unknown path, a method that a path does not have, or an unreadable body."""
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    match error:
        case HTTPException(status_code=HTTPStatus.BAD_REQUEST):  # FastAPI could not parse it
            problem = FieldProblem(field="body", reason="INVALID_BODY", description="cannot be read as JSON")
            response = answer(status, problem.reason, "The body is not JSON in UTF-8.", errors=[problem])
        case _:
            response = answer(status, status.name, status.description or status.phrase)
    headers = dict(error.headers or {})
    if headers.get("Allow") == "GET":
        headers["Allow"] = "GET, HEAD"
    response.headers.update(headers)
    return response


def install(application: FastAPI, telemetry: Telemetry) -> None:
    """Install the exception handlers in an application."""

    def from_bug(_request: Request, error: Exception) -> JSONResponse:
        error_id = str(uuid4())
        telemetry.log.error("edge.bug_found", error_id=error_id, exc_info=error)
        return from_service(_request, Internal(error_id))

    application.add_exception_handler(ServiceError, from_service)
    application.add_exception_handler(CallerUnknown, from_caller)
    application.add_exception_handler(RequestValidationError, from_validation)
    application.add_exception_handler(HTTPException, from_http)
    application.add_exception_handler(Exception, from_bug)
