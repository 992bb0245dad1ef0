"""Consistency tokens: signed texts that name the version of an order that a customer's list must hold."""

import binascii
import hmac
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from struct import Struct
from uuid import UUID

from services.kernel.errors import InvalidField

# The period of the signing key, the order's id and its version; the signature follows. 48 bytes make exactly 64 base64
# characters without padding, so each token has only one text.
CONTENT = Struct(">I16sQ")
SIGNATURE_BYTES = 20
LENGTH = 64


@dataclass(frozen=True, slots=True)
class OrderVersion:
    """A version of a customer's order."""

    customer_id: UUID
    order_id: UUID
    version: int


@dataclass(frozen=True, slots=True)
class TokenKeys:
    """The keys that are valid now, by period; new tokens are signed with the key of `period`."""

    period: int
    keys: Mapping[int, bytes] = field(repr=False)

    def sign(self, seen: OrderVersion) -> str:
        """Return the token of the version that a customer has seen."""
        content = CONTENT.pack(self.period, seen.order_id.bytes, seen.version)
        return urlsafe_b64encode(content + signature(self.keys[self.period], content, seen.customer_id)).decode()

    def verify(self, token: str, customer_id: UUID) -> OrderVersion:
        """Return the version that this customer has seen. Raises InvalidField unless this customer got the token."""
        try:
            signed = b64decode(token.encode("ascii"), altchars=b"-_", validate=True) if len(token) == LENGTH else b""
        except (UnicodeEncodeError, binascii.Error):
            signed = b""
        if len(signed) != CONTENT.size + SIGNATURE_BYTES:
            raise _invalid("is not the consistency token of an order")
        content = signed[: CONTENT.size]
        period, order_id, version = CONTENT.unpack(content)
        if period not in self.keys:
            raise _invalid("has expired: read the order to get a new one")
        if not hmac.compare_digest(signed[CONTENT.size :], signature(self.keys[period], content, customer_id)):
            raise _invalid("is not the consistency token of an order of this customer")
        return OrderVersion(customer_id, UUID(bytes=order_id), version)


def signature(key: bytes, content: bytes, customer_id: UUID) -> bytes:
    """Return the signature (HMAC) of a token's content and its customer."""
    return hmac.digest(key, content + customer_id.bytes, "sha256")[:SIGNATURE_BYTES]


def _invalid(description: str) -> InvalidField:
    return InvalidField("consistency_token", "INVALID_CONSISTENCY_TOKEN", description)
