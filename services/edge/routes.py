"""Routes of the edge: four calls of the order api, and one of inventory's for those who look."""

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
            "Yours, unique for each thing you want done; repeat it to repeat the request safely."
            " Quoted, as in the IETF's draft, or bare: it is the same key."
        ),
    ),
]

Preference = Annotated[
    str,
    Header(
        alias="Prefer",
        max_length=200,
        description="`respond-async` (RFC 7240): take the order although inventory is away, and answer 202.",
    ),
]


Skus = Annotated[
    list[Annotated[str, StringConstraints(pattern=SKU_PATTERN, max_length=64)]],
    Query(
        alias="sku",
        min_length=1,
        max_length=inventory_api.MAX_HINTS,
        description="Stock codes, each once.",
        json_schema_extra={"uniqueItems": True},
    ),
]


def idempotency_key(request: Request, given: KeyHeader) -> str:
    """Return the key without its quotes. Raises InvalidField when there is more than one."""
    if len(request.headers.getlist("idempotency-key")) > 1:
        raise InvalidField("Idempotency-Key", "INVALID_IDEMPOTENCY_KEY", "stands in the request more than once")
    return given.strip('"')


def prefers_async(request: Request, _documented: Preference = "") -> bool:
    """Say whether respond-async is among the preferences; several Prefer headers are one list (RFC 9110, 5.3)."""
    return prefers(",".join(request.headers.getlist("prefer")), "respond-async")


IdempotencyKey = Annotated[str, Depends(idempotency_key)]
PrefersAsync = Annotated[bool, Depends(prefers_async)]


def orders_of(request: Request) -> api.OrderService:
    """Return the order service that the application was made with."""
    orders: api.OrderService = request.app.state.orders
    return orders


def inventory_of(request: Request) -> inventory_api.InventoryService:
    """Return the inventory that the application was made with."""
    inventory: inventory_api.InventoryService = request.app.state.inventory
    return inventory


def prefers(preferences: str, name: str) -> bool:
    """Say whether a preference is in a list of them, with a value or without."""
    named = (preference.split(";")[0].split("=")[0].strip().lower() for preference in preferences.split(","))
    return name in named


def answer(order: api.Order, response: Response) -> OrderBody:
    """Return the body of an order, and say in a header what a list must hold to be no older."""
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
            "description": "Kept; its end is not known yet: read it at Location.",
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
    """Place an order; a repeat is answered with the order as it is by now, whatever the state of inventory.

    409 OUT_OF_STOCK and 404 SKU_NOT_FOUND name the order that was kept and rejected.
    503 CIRCUIT_OPEN: inventory is away and nothing was kept under this key, since you did not prefer to be answered
    later.
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
async def get_order(order_id: UUID, caller: CallerId, request: Request, response: Response) -> OrderBody:
    """Read one of your orders."""
    return answer(await orders_of(request).get_order(api.GetOrder(caller, order_id)), response)


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
        str, Query(max_length=200, description="Consistency-Token of an order of yours: the list is then no older.")
    ] = "",
) -> OrderPageBody:
    """Read a page of your orders, newest first; 503 READ_MODEL_BEHIND when it would be older than your token says."""
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
            "description": "Your wish is kept, and the order becomes CANCELLED: read it at Location.",
            "headers": LOCATION,
        },
        **errors(400, 401, 404, 409, 422, 500, 503, 504),
    },
)
async def cancel_order(
    order_id: UUID, caller: CallerId, key: IdempotencyKey, request: Request, response: Response
) -> OrderBody:
    """Cancel one of your orders; its stock goes back on the shelf."""
    order = await orders_of(request).cancel_order(api.CancelOrder(key, caller, order_id))
    if order.state is not api.OrderState.CANCELLED:
        response.status_code = status.HTTP_202_ACCEPTED
        response.headers["Location"] = f"/orders/{order.order_id}"
    return answer(order, response)


@router.get("/stock-hints", responses=errors(400, 404, 500, 503, 504))
async def get_stock_hints(skus: Skus, request: Request) -> StockHintsBody:
    """Look, before you buy: what is left and what sells, as of some seconds ago. An order finds out what is there."""
    hints = await inventory_of(request).get_stock_hints(inventory_api.GetStockHints(tuple(skus)))
    return StockHintsBody.of(hints)
