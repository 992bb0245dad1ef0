"""Routes of the edge: four calls of the order API, and the stock hints of the inventory API."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response, status
from pydantic import StringConstraints

from services.edge.caller import CallerId, CustomerNotFound
from services.edge.openapi import AFTER_PLACING, CONSISTENCY_TOKEN, LOCATION, NEXT_PAGE, errors, operation_id
from services.edge.schemas import SKU_PATTERN, OrderBody, OrderPageBody, PlaceOrderBody, StockHintsBody
from services.inventory import api as inventory_api
from services.kernel.errors import InvalidField
from services.kernel.fields import REQUEST_ID
from services.order import api

router = APIRouter(generate_unique_id_function=operation_id)

KeyHeader = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        pattern=f'^(?:{REQUEST_ID.pattern}|"{REQUEST_ID.pattern}")$',
        max_length=66,
        description=(
            "Chosen by you, unique for each operation; send it again to retry the request safely."
            " Quoted, as in the IETF's draft, or bare: it is the same key."
        ),
    ),
]

Preference = Annotated[
    str,
    Header(
        alias="Prefer",
        max_length=200,
        description="`respond-async` (RFC 7240): accept the order while inventory is unavailable, and answer 202.",
    ),
]


Skus = Annotated[
    list[Annotated[str, StringConstraints(pattern=SKU_PATTERN, max_length=64)]],
    Query(
        alias="sku",
        min_length=1,
        max_length=inventory_api.MAX_HINTS,
        description="SKUs, each once.",
        json_schema_extra={"uniqueItems": True},
    ),
]


def idempotency_key(request: Request, given: KeyHeader) -> str:
    """Return the key without its quotes. Raises InvalidField when there is more than one."""
    if len(request.headers.getlist("idempotency-key")) > 1:
        raise InvalidField("Idempotency-Key", "INVALID_IDEMPOTENCY_KEY", "occurs more than once")
    return given.strip('"')


def prefers_async(request: Request, _documented: Preference = "") -> bool:
    """Return whether the client prefers respond-async; several Prefer headers are one list (RFC 9110, 5.3)."""
    return prefers(",".join(request.headers.getlist("prefer")), "respond-async")


IdempotencyKey = Annotated[str, Depends(idempotency_key)]
PrefersAsync = Annotated[bool, Depends(prefers_async)]


def orders_of(request: Request) -> api.OrderService:
    """Return the application's order service."""
    orders: api.OrderService = request.app.state.orders
    return orders


def inventory_of(request: Request) -> inventory_api.InventoryService:
    """Return the application's inventory service."""
    inventory: inventory_api.InventoryService = request.app.state.inventory
    return inventory


def prefers(preferences: str, name: str) -> bool:
    """Return whether a preference is in a list of preferences, with a value or without."""
    named = (preference.split(";")[0].split("=")[0].strip().lower() for preference in preferences.split(","))
    return name in named


def answer(order: api.Order, response: Response) -> OrderBody:
    """Return the body of an order, and set its consistency token in a header."""
    response.headers["Consistency-Token"] = order.consistency_token
    return OrderBody.of(order)


@router.post(
    "/orders",
    status_code=status.HTTP_201_CREATED,
    response_model=OrderBody,
    responses={
        201: {"description": "Sold.", "headers": LOCATION, "links": AFTER_PLACING},
        202: {
            "model": OrderBody,
            "description": "Stored; not settled yet: read it at Location.",
            "headers": LOCATION,
            "links": AFTER_PLACING,
        },
        **errors(400, 401, 404, 408, 409, 413, 415, 422, 500, 503, 504),
    },
)
async def place_order(
    body: PlaceOrderBody,
    caller: CallerId,
    key: IdempotencyKey,
    request: Request,
    response: Response,
    respond_async: PrefersAsync,
) -> OrderBody:
    """Place an order. A retry with the same key returns the order as it is now, whatever the state of inventory.

    409 OUT_OF_STOCK and 404 SKU_NOT_FOUND name the order, which was stored and rejected.
    503 CIRCUIT_OPEN: inventory is unavailable and nothing was stored under this key; `Prefer: respond-async` stores it.
    """
    lines = tuple(api.OrderLine(line.sku, line.quantity) for line in body.lines)
    order = await orders_of(request).place_order(api.PlaceOrder(key, caller, lines, respond_async=respond_async))
    response.headers["Location"] = f"/orders/{order.order_id}"
    if order.state is api.OrderState.PENDING:
        response.status_code = status.HTTP_202_ACCEPTED
        if respond_async:
            response.headers["Preference-Applied"] = "respond-async"
    return answer(order, response)


@router.get(
    "/orders/{order_id}",
    responses={200: {"headers": CONSISTENCY_TOKEN}, **errors(400, 401, 404, 500, 503, 504)},
)
async def get_order(
    order_id: UUID,
    caller: CallerId,
    request: Request,
    response: Response,
    consistency_token: Annotated[
        str, Query(max_length=200, description="Consistency-Token of this order: it is read at least as new.")
    ] = "",
) -> OrderBody:
    """Read one of your orders; 503 READ_MODEL_BEHIND while only an older version than your token's can be read."""
    return answer(await orders_of(request).get_order(api.GetOrder(caller, order_id, consistency_token)), response)


@router.get(
    "/customers/{customer_id}/orders",
    responses={200: {"links": NEXT_PAGE}, **errors(400, 401, 404, 500, 503, 504)},
)
async def list_orders(
    customer_id: UUID,
    caller: CallerId,
    request: Request,
    page_size: Annotated[int, Query(ge=1, le=api.MAX_PAGE_SIZE)] = api.DEFAULT_PAGE_SIZE,
    page_token: Annotated[str, Query(max_length=400)] = "",
    consistency_token: Annotated[
        str, Query(max_length=200, description="Consistency-Token of one of your orders: the list is at least as new.")
    ] = "",
) -> OrderPageBody:
    """List your orders by page, newest first; 503 READ_MODEL_BEHIND while the list is older than your token."""
    if customer_id != caller:
        raise CustomerNotFound
    query = api.ListOrders(customer_id, page_size, page_token, consistency_token)
    return OrderPageBody.of(await orders_of(request).list_orders(query))


@router.post(
    "/orders/{order_id}/cancel",
    response_model=OrderBody,
    responses={
        200: {"description": "Cancelled.", "headers": CONSISTENCY_TOKEN},
        202: {
            "model": OrderBody,
            "description": "The cancellation is stored, and the order becomes CANCELLED: read it at Location.",
            "headers": LOCATION,
        },
        **errors(400, 401, 404, 409, 422, 500, 503, 504),
    },
)
async def cancel_order(
    order_id: UUID, caller: CallerId, key: IdempotencyKey, request: Request, response: Response
) -> OrderBody:
    """Cancel one of your orders; its stock is released."""
    order = await orders_of(request).cancel_order(api.CancelOrder(key, caller, order_id))
    if order.state is not api.OrderState.CANCELLED:
        response.status_code = status.HTTP_202_ACCEPTED
        response.headers["Location"] = f"/orders/{order.order_id}"
    return answer(order, response)


@router.get("/stock-hints", responses=errors(400, 404, 500, 503, 504))
async def get_stock_hints(skus: Skus, request: Request) -> StockHintsBody:
    """Return what is available and what sells, as of some seconds ago; only an order checks the actual stock."""
    hints = await inventory_of(request).get_stock_hints(inventory_api.GetStockHints(tuple(skus)))
    return StockHintsBody.of(hints)
