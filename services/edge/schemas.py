"""JSON bodies that the edge reads and writes."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field, model_validator
from pydantic_core import PydanticCustomError

from services.inventory import api as inventory_api
from services.kernel.fields import SKU
from services.kernel.money import Money
from services.order import api

State = Literal["PENDING", "CONFIRMED", "REJECTED", "CANCELLED"]
# JSON Schema searches where the kernel matches whole texts, so the pattern is anchored here.
SKU_PATTERN = f"^{SKU.pattern}$"


def integer_of(value: object) -> object:
    """Return a whole float such as 2.0 as an integer, since JSON has one type of number; any other value unchanged."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class Body(BaseModel):
    """A JSON object; an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", strict=True)


class RequestBody(Body):
    """A JSON object from a client. Its fields are counted first, since listing thousands of errors is expensive."""

    @model_validator(mode="before")
    @classmethod
    def _check_field_count(cls, value: object) -> object:
        if isinstance(value, dict) and len(value) > len(cls.model_fields):
            known = ", ".join(cls.model_fields)
            message = "has {count} fields; there are only: {known}"
            raise PydanticCustomError("too_many_fields", message, {"count": len(value), "known": known})
        return value


class OrderLineBody(RequestBody):
    """An ordered quantity of one SKU."""

    sku: str = Field(pattern=SKU_PATTERN, max_length=64, examples=["85123A"])
    quantity: Annotated[int, BeforeValidator(integer_of)] = Field(ge=1, le=api.MAX_QUANTITY, description="Units.")


class PlaceOrderBody(RequestBody):
    """An order: each SKU once; prices come from inventory. Only the first wrong line is reported."""

    lines: Annotated[list[OrderLineBody], FailFast()] = Field(
        min_length=1, max_length=api.MAX_LINES, json_schema_extra={"uniqueItems": True}
    )


class MoneyBody(Body):
    """An amount in hundredths of a currency."""

    currency_code: str
    minor_units: int

    @classmethod
    def of(cls, money: Money | None) -> "MoneyBody | None":
        """Return the body of an amount, or None."""
        return cls(currency_code=money.currency_code, minor_units=money.minor_units) if money else None


class PricedLineBody(Body):
    """A line of a stored order."""

    sku: str
    quantity: int
    unit_price: MoneyBody | None


class ShortageBody(Body):
    """A SKU of which less was available than ordered, in units."""

    sku: str
    requested: int
    available: int

    @classmethod
    def of(cls, shortage: api.Shortage) -> "ShortageBody":
        """Return the body of a shortage."""
        return cls(sku=shortage.sku, requested=shortage.requested, available=shortage.available)


class RejectionBody(Body):
    """Why an order was rejected."""

    reason: str
    shortages: list[ShortageBody]
    skus: list[str]

    @classmethod
    def of(cls, rejection: api.Rejection | None) -> "RejectionBody | None":
        """Return the body of a rejection, or None."""
        if rejection is None:
            return None
        shortages = [ShortageBody.of(shortage) for shortage in rejection.shortages]
        return cls(reason=rejection.reason, shortages=shortages, skus=list(rejection.skus))


class OrderBody(Body):
    """One order."""

    order_id: UUID
    customer_id: UUID
    state: State
    cancellation_requested: bool = Field(description="The order is CANCELLED, or becomes CANCELLED and nothing else.")
    lines: list[PricedLineBody]
    total: MoneyBody | None
    rejection: RejectionBody | None
    create_time: datetime
    update_time: datetime
    version: int

    @classmethod
    def of(cls, order: api.Order) -> "OrderBody":
        """Return the body of an order."""
        return cls(
            order_id=order.order_id,
            customer_id=order.customer_id,
            state=order.state.value,
            cancellation_requested=order.cancellation_requested,
            lines=[
                PricedLineBody(sku=line.sku, quantity=line.quantity, unit_price=MoneyBody.of(line.unit_price))
                for line in order.lines
            ],
            total=MoneyBody.of(order.total),
            rejection=RejectionBody.of(order.rejection),
            create_time=order.create_time,
            update_time=order.update_time,
            version=order.version,
        )


class OrderSummaryBody(Body):
    """One row of a list of orders."""

    order_id: UUID
    state: State
    line_count: int
    total: MoneyBody | None
    create_time: datetime


class OrderPageBody(Body):
    """A page of orders, newest first; an empty token ends the list."""

    orders: list[OrderSummaryBody]
    next_page_token: str

    @classmethod
    def of(cls, page: api.OrderPage) -> "OrderPageBody":
        """Return the body of a page."""
        orders = [
            OrderSummaryBody(
                order_id=order.order_id,
                state=order.state.value,
                line_count=order.line_count,
                total=MoneyBody.of(order.total),
                create_time=order.create_time,
            )
            for order in page.orders
        ]
        return cls(orders=orders, next_page_token=page.next_page_token)


class StockHintBody(Body):
    """Available and recently sold units of a SKU."""

    sku: str
    available: int
    sold_last_hour: int


class StockHintsBody(Body):
    """One hint a SKU, in the order of the request."""

    hints: list[StockHintBody]

    @classmethod
    def of(cls, hints: tuple[inventory_api.StockHint, ...]) -> "StockHintsBody":
        """Return the body of hints."""
        bodies = [
            StockHintBody(sku=hint.sku, available=hint.available, sold_last_hour=hint.sold_last_hour) for hint in hints
        ]
        return cls(hints=bodies)


class FieldProblem(Body):
    """One field that is invalid."""

    field: str
    reason: str
    description: str


class Problem(BaseModel):
    """RFC 9457 problem details; `reason` is the stable name to program against."""

    type: str
    title: str
    status: int
    detail: str
    reason: str
    errors: Annotated[
        list[FieldProblem] | None,
        Field(description="For INVALID_* and UNKNOWN_FIELD: the first invalid fields."),
    ] = None
    order_id: UUID | None = None
    shortages: Annotated[list[ShortageBody] | None, Field(description="For OUT_OF_STOCK.")] = None
    skus: Annotated[list[str] | None, Field(description="For SKU_NOT_FOUND.")] = None
    rejection_reason: Annotated[str | None, Field(description="For ORDER_REJECTED.")] = None
    error_id: Annotated[str | None, Field(description="For INTERNAL: include it in a report.")] = None
