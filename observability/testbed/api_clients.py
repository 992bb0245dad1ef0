"""Clients of the REST and gRPC APIs: send one request without retries, and return its answer in a common form."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import urlencode
from uuid import UUID

import aiohttp
import orjson

from observability.telemetry.telemetry import unobserved
from observability.testbed.requests import (
    ApiName,
    CancelRequest,
    Listing,
    PlaceRequest,
    ReadRequest,
    Request,
    Response,
)
from services.infra import deadline
from services.infra.rpc.client import open_channel
from services.kernel.errors import ErrorKind, ServiceError
from services.kernel.money import Money
from services.order import api
from services.order.rpc.client import OrderClient

ATTEMPT_SECONDS = 4.0
# Errors after which the outcome is unknown, so that the same request is repeated; all others are final.
UNKNOWN_KINDS = frozenset(
    {ErrorKind.CONFLICT, ErrorKind.OVERLOADED, ErrorKind.UNAVAILABLE, ErrorKind.DEADLINE, ErrorKind.INTERNAL}
)
UNKNOWN_REASONS = frozenset(
    {
        "CIRCUIT_OPEN",
        "DEADLINE_EXCEEDED",
        "DEPENDENCY_UNAVAILABLE",
        "IDEMPOTENCY_IN_PROGRESS",
        "INTERNAL",
        "OVERLOADED",
        "READ_MODEL_BEHIND",
        "VERSION_CONFLICT",
    }
)
# Errors that report an order stored as rejected; other errors may name an order too.
REJECTIONS = frozenset({"ORDER_REJECTED", "OUT_OF_STOCK", "SKU_NOT_FOUND"})


class ApiClient(Protocol):
    """Client of one of the shop's public APIs."""

    @property
    def name(self) -> ApiName:
        """REST or gRPC."""

    async def send(self, request: Request, *, seconds: float = ATTEMPT_SECONDS) -> Response:
        """Send the request once and wait for at most `seconds`; a failure is a Response too."""

    async def find_in_list(self, customer_id: str, answer: Response, *, seconds: float = ATTEMPT_SECONDS) -> Listing:
        """Find an order in its customer's list, read with the answer's consistency token."""


class RestApiClient:
    """Client of the REST edge."""

    name = ApiName.REST

    def __init__(self, session: aiohttp.ClientSession, address: str) -> None:
        self._session = session
        self._base = f"http://{address}/orders"
        self._customers = f"http://{address}/customers"

    async def send(self, request: Request, *, seconds: float = ATTEMPT_SECONDS) -> Response:
        """Send the request once."""
        timeout = aiohttp.ClientTimeout(total=seconds)
        method, url, body = self._call(request)
        # Over REST the campaigns take early answers (PENDING), over gRPC they do not, so that both paths are checked.
        headers = {
            "X-Customer-Id": request.customer_id,
            "Idempotency-Key": request.request_id,
            "Prefer": "respond-async",
        }
        try:
            async with self._session.request(method, url, json=body, headers=headers, timeout=timeout) as response:
                body_read = await response.read()
                answer = answer_of_response(response.status, body_read)
                return replace(answer, consistency_token=response.headers.get("Consistency-Token", ""))
        except TimeoutError:
            return Response(known=False, reason="TIMEOUT")
        except aiohttp.ClientError:
            return Response(known=False, reason="CONNECTION_LOST")

    async def find_in_list(self, customer_id: str, answer: Response, *, seconds: float = ATTEMPT_SECONDS) -> Listing:
        """Find the order on the first page, which has the newest orders."""
        listing = Listing(answer.order_id, self.name, answer.state)
        url = f"{self._customers}/{customer_id}/orders"
        query = {"page_size": str(api.MAX_PAGE_SIZE), "consistency_token": answer.consistency_token}
        timeout = aiohttp.ClientTimeout(total=seconds)
        headers = {"X-Customer-Id": customer_id}
        try:
            async with self._session.get(url, params=query, headers=headers, timeout=timeout) as response:
                document = orjson.loads(await response.read())
        except (TimeoutError, aiohttp.ClientError, orjson.JSONDecodeError) as error:
            return replace(listing, reason=type(error).__name__)
        if reason := document.get("reason", ""):
            return replace(listing, reason=reason)
        states = {order["order_id"]: order["state"] for order in document["orders"]}
        return replace(listing, state=states.get(answer.order_id, ""))

    def _call(self, request: Request) -> tuple[str, str, dict[str, Any] | None]:
        match request:
            case PlaceRequest():
                lines = [{"sku": line.sku, "quantity": line.quantity} for line in request.lines]
                return "POST", self._base, {"lines": lines}
            case CancelRequest():
                return "POST", f"{self._base}/{request.order_id}/cancel", None
            case ReadRequest():
                query = urlencode({"consistency_token": request.consistency_token})
                return "GET", f"{self._base}/{request.order_id}" + f"?{query}" * bool(request.consistency_token), None


class GrpcApiClient:
    """Client of the order service's gRPC."""

    name = ApiName.GRPC

    def __init__(self, orders: OrderClient) -> None:
        self._orders = orders

    async def send(self, request: Request, *, seconds: float = ATTEMPT_SECONDS) -> Response:
        """Send the request once."""
        try:
            with deadline.within(seconds):
                return answer_of_order(await self._call(request))
        except ServiceError as error:
            return answer_of_error(error)

    async def find_in_list(self, customer_id: str, answer: Response, *, seconds: float = ATTEMPT_SECONDS) -> Listing:
        """Find the order on the first page, which has the newest orders."""
        listing = Listing(answer.order_id, self.name, answer.state)
        query = api.ListOrders(UUID(customer_id), api.MAX_PAGE_SIZE, consistency_token=answer.consistency_token)
        try:
            with deadline.within(seconds):
                page = await self._orders.list_orders(query)
        except ServiceError as error:
            return replace(listing, reason=error.reason)
        states = {str(order.order_id): order.state.value for order in page.orders}
        return replace(listing, state=states.get(answer.order_id, ""))

    async def _call(self, request: Request) -> api.Order:
        customer_id = UUID(request.customer_id)
        match request:
            case PlaceRequest():
                lines = tuple(api.OrderLine(line.sku, line.quantity) for line in request.lines)
                return await self._orders.place_order(api.PlaceOrder(request.request_id, customer_id, lines))
            case CancelRequest():
                command = api.CancelOrder(request.request_id, customer_id, UUID(request.order_id))
                return await self._orders.cancel_order(command)
            case ReadRequest():
                query = api.GetOrder(customer_id, UUID(request.order_id), request.consistency_token)
                return await self._orders.get_order(query)


@asynccontextmanager
async def open_api_clients(*, edge_http: str, order_grpc: str) -> AsyncIterator[tuple[ApiClient, ApiClient]]:
    """Open a client of each API during a with block; addresses are host:port."""
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()) as session,
        open_channel(order_grpc) as channel,
    ):
        orders = OrderClient(channel, target=order_grpc, telemetry=unobserved("chaos"), guarded=False)
        yield RestApiClient(session, edge_http), GrpcApiClient(orders)


def answer_of_response(status: int, body: bytes) -> Response:
    """Convert a REST answer; one that is no JSON object did not come from the shop, so its outcome is unknown."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        return Response(known=False, reason=f"HTTP_{status}")
    if status < HTTPStatus.BAD_REQUEST:
        total = document["total"]
        return Response(
            known=True,
            order_id=document["order_id"],
            state=document["state"],
            version=document["version"],
            cancellation_requested=document["cancellation_requested"],
            detail=detail_of_rejection(document["rejection"]) or detail_of_total(total and Money(**total)),
        )
    reason = str(document.get("reason", f"HTTP_{status}"))
    if reason in REJECTIONS and "order_id" in document:
        rejection = {**document, "reason": document.get("rejection_reason", reason)}
        return Response(True, document["order_id"], "REJECTED", reason, detail=detail_of_rejection(rejection))
    return Response(known=reason not in UNKNOWN_REASONS, reason=reason)


def answer_of_order(order: api.Order) -> Response:
    """Convert an order to an answer."""
    detail = detail_of_rejection(as_document(order.rejection)) or detail_of_total(order.total)
    return Response(
        known=True,
        order_id=str(order.order_id),
        state=order.state.value,
        version=order.version,
        detail=detail,
        cancellation_requested=order.cancellation_requested,
        consistency_token=order.consistency_token,
    )


def answer_of_error(error: ServiceError) -> Response:
    """Convert an error to an answer; an error that names a rejected order gives its state."""
    match error:
        case api.OutOfStock():
            rejection = api.Rejection(error.reason, shortages=error.shortages)
        case api.SkuNotFound():
            rejection = api.Rejection(error.reason, skus=error.skus)
        case api.OrderRejected():
            rejection = api.Rejection(error.rejection_reason)
        case _:
            return Response(known=error.kind not in UNKNOWN_KINDS, reason=error.reason)
    detail = detail_of_rejection(as_document(rejection))
    return Response(True, str(error.order_id), "REJECTED", error.reason, detail=detail)


def as_document(rejection: api.Rejection | None) -> Mapping[str, Any] | None:
    """Return a rejection as its JSON document."""
    document: Mapping[str, Any] | None = orjson.loads(orjson.dumps(rejection))
    return document


def detail_of_total(total: Money | None) -> str:
    """Return a total as text that can be compared; "" without one."""
    return f"{total.currency_code} {total.minor_units}" if total else ""


def detail_of_rejection(rejection: Mapping[str, Any] | None) -> str:
    """Return an order's rejection as text that can be compared; "" if it was not rejected."""
    if rejection is None:
        return ""
    shortages = (f"{each['sku']} {each['available']}<{each['requested']}" for each in rejection.get("shortages") or ())
    return " ".join((rejection["reason"], *sorted(shortages), *sorted(rejection.get("skus") or ())))
