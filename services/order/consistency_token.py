"""Which version of an order must a list hold? An opaque token says it, bound to the customer whose order it is."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from uuid import UUID

from services.kernel.errors import InvalidField

MOST_VERSION = 2**63 - 1


@dataclass(frozen=True, slots=True)
class OrderVersion:
    """A customer's order at one of its versions."""

    customer_id: UUID
    order_id: UUID
    version: int


def encode_consistency_token(seen: OrderVersion) -> str:
    """Return the token of what a customer has seen."""
    return urlsafe_b64encode(f"{seen.order_id} {seen.version} {seen.customer_id}".encode()).decode()


def decode_consistency_token(token: str, customer_id: UUID) -> OrderVersion:
    """Return what this customer has seen. Raises InvalidField for anything else."""
    try:
        order_id, version, bound_to = urlsafe_b64decode(token.encode()).decode().split(" ")
        seen = OrderVersion(UUID(bound_to), UUID(order_id), int(version))
    except ValueError as error:
        raise _refused("is not a token that an order came with") from error
    if seen.customer_id != customer_id or not 1 <= seen.version <= MOST_VERSION:
        raise _refused("belongs to another customer")
    return seen


def _refused(description: str) -> InvalidField:
    return InvalidField("consistency_token", "INVALID_CONSISTENCY_TOKEN", description)
