"""Page tokens: opaque texts that say after which order a page begins, bound to one customer's list."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from uuid import UUID

import orjson

from services.kernel.errors import InvalidField


def encode_page_token(create_time: datetime, order_id: UUID, customer_id: UUID) -> str:
    """Return the token of the page that begins after this order in this customer's list."""
    return urlsafe_b64encode(orjson.dumps([create_time, str(order_id), str(customer_id)])).decode()


def decode_page_token(token: str, customer_id: UUID) -> tuple[datetime, UUID] | None:
    """Return the key after which the page begins, in UTC; None for the first page. Raises InvalidField."""
    if not token:
        return None
    try:
        text, order_id, bound_to = orjson.loads(urlsafe_b64decode(token.encode()))
        create_time = datetime.fromisoformat(text)
        # Raises OverflowError for a time at the edge of the calendar, which does not exist in UTC.
        key, token_customer_id = (create_time.astimezone(UTC), UUID(order_id)), UUID(bound_to)
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise InvalidField("page_token", "INVALID_PAGE_TOKEN", "is not a token that ListOrders returned") from error
    if token_customer_id != customer_id or create_time.tzinfo is None:
        raise InvalidField("page_token", "INVALID_PAGE_TOKEN", "belongs to another list")
    return key
