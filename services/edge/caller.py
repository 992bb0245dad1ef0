"""Identity of the caller: a port, with an adapter that trusts a header; a token verifier can replace it."""

from typing import Annotated, Protocol
from uuid import UUID

from fastapi import Depends, Request, Response
from fastapi.security import APIKeyHeader

from services.kernel.errors import ErrorKind, ServiceError

SCHEME = APIKeyHeader(
    name="X-Customer-Id",
    scheme_name="CustomerId",
    auto_error=False,
    description="UUID of the calling customer. It is not verified: serve on loopback or behind a verifier.",
)


NO_STORE = "no-store"


class CallerUnknown(Exception):
    """The request does not identify its caller."""


class CustomerNotFound(ServiceError):
    """There is no such customer, or it is not the caller."""

    kind, reason = ErrorKind.NOT_FOUND, "CUSTOMER_NOT_FOUND"


class Caller(Protocol):
    """Port: identifies the customer that a request comes from."""

    def identify(self, request: Request) -> UUID:
        """Return the customer's id. Raises CallerUnknown."""


class HeaderCaller:
    """Identifies the caller by the X-Customer-Id header, without verification."""

    def identify(self, request: Request) -> UUID:
        """Return the id in the header. Raises CallerUnknown when it is absent, repeated, or no UUID."""
        try:
            return UUID(",".join(request.headers.getlist("x-customer-id")))
        except ValueError as error:
            raise CallerUnknown from error


def identify_caller(request: Request, response: Response, _documented: Annotated[str | None, Depends(SCHEME)]) -> UUID:
    """Return the calling customer's id, by the application's caller port; forbid caches to store the answer."""
    response.headers["Cache-Control"] = NO_STORE
    caller: Caller = request.app.state.caller
    return caller.identify(request)


CallerId = Annotated[UUID, Depends(identify_caller)]
