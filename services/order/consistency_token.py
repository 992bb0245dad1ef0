"""Consistency tokens: signed texts that say which version of a customer's order a list must hold."""

import binascii
import hmac
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from struct import Struct
from uuid import UUID

from services.kernel.errors import InvalidField

# The period whose key signed it, the order's id and version; then the signature. 48 bytes make 64 characters, all of
# which count: there is one text for each token.
CONTENT = Struct(">I16sQ")
SIGNATURE_BYTES = 20
LENGTH = 64


@dataclass(frozen=True, slots=True)
class OrderVersion:
    """A customer's order at one of its versions."""

    customer_id: UUID
    order_id: UUID
    version: int


@dataclass(frozen=True, slots=True)
class TokenKeys:
    """The keys that are good now, by period; tokens are signed with that of `period`."""

    period: int
    keys: Mapping[int, bytes] = field(repr=False)

    def sign(self, seen: OrderVersion) -> str:
        """Return the token of what a customer has seen."""
        content = CONTENT.pack(self.period, seen.order_id.bytes, seen.version)
        return urlsafe_b64encode(content + signature(self.keys[self.period], content, seen.customer_id)).decode()

    def verify(self, token: str, customer_id: UUID) -> OrderVersion:
        """Return what this customer has seen. Raises InvalidField for a token that was not given to this customer."""
        try:
            signed = b64decode(token.encode("ascii"), altchars=b"-_", validate=True) if len(token) == LENGTH else b""
        except (UnicodeEncodeError, binascii.Error):
            signed = b""
        if len(signed) != CONTENT.size + SIGNATURE_BYTES:
            raise _refused("is not a token that an order came with")
        content = signed[: CONTENT.size]
        period, order_id, version = CONTENT.unpack(content)
        if period not in self.keys:
            raise _refused("has expired: read the order for another")
        if not hmac.compare_digest(signed[CONTENT.size :], signature(self.keys[period], content, customer_id)):
            raise _refused("is not a token that an order of this customer came with")
        return OrderVersion(customer_id, UUID(bytes=order_id), version)


def signature(key: bytes, content: bytes, customer_id: UUID) -> bytes:
    """Return what only a holder of the key can say of a token's content and its customer."""
    return hmac.digest(key, content + customer_id.bytes, "sha256")[:SIGNATURE_BYTES]


def _refused(description: str) -> InvalidField:
    return InvalidField("consistency_token", "INVALID_CONSISTENCY_TOKEN", description)
