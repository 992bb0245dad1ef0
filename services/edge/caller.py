"""Identity of the caller: one port, so that a token verifier can take the header's place."""

from typing import Annotated, Protocol
from uuid import UUID

from fastapi import Depends, Request, Response
from fastapi.security import APIKeyHeader

from services.kernel.errors import ErrorKind, ServiceError

SCHEME = APIKeyHeader(
    name="X-Customer-Id",
    scheme_name="CustomerId",
    auto_error=False,
    description="UUID of the calling customer, trusted as it is: serve on loopback or behind a verifier.",
)


NO_STORE = "no-store"


class CallerUnknown(Exception):
    """The request does not say who calls."""


class CustomerNotFound(ServiceError):
    """There is no such customer, or it is not you."""

    kind, reason = ErrorKind.NOT_FOUND, "CUSTOMER_NOT_FOUND"


class Caller(Protocol):
    """Tells which customer a request comes from."""

    def identify(self, request: Request) -> UUID:
        """Return the customer's id. Raises CallerUnknown."""


class HeaderCaller:
    """Believes the X-Customer-Id header."""

    def identify(self, request: Request) -> UUID:
        """Return the id in the header. Raises CallerUnknown when it is absent, no UUID, or there more than once."""
        try:
            return UUID(",".join(request.headers.getlist("x-customer-id")))
        except ValueError as error:
            raise CallerUnknown from error


def identify_caller(request: Request, response: Response, _documented: Annotated[str | None, Depends(SCHEME)]) -> UUID:
    """Return the calling customer's id, by the caller port of the application; let no cache keep what is theirs."""
    response.headers["Cache-Control"] = NO_STORE
    caller: Caller = request.app.state.caller
    return caller.identify(request)


CallerId = Annotated[UUID, Depends(identify_caller)]
