"""Logical shards: maps each customer to one of 256, and puts its number into the ids of new orders.

The number is the first byte of the SHA-256 of the customer's id, so it never changes, and SQL computes the same:
`get_byte(sha256(uuid_send(customer_id)), 0)`. An order's id is a UUIDv8 (RFC 9562) in whose text
xxxxxxxx-xxxx-80ss-xxxx-xxxxxxxxxxxx the digits ss are the logical shard, and the x are random but for two bits.
"""

from hashlib import sha256
from uuid import UUID

LOGICAL_SHARDS = 256
# Version 8, then a nibble that is 0 in this layout, then the logical shard: bytes 6 and 7.
_LAYOUT_BITS = 0x80
_LAYOUT_BYTE, _SHARD_BYTE = 6, 7


def logical_shard_of(customer_id: UUID) -> int:
    """Return the logical shard of all orders of a customer, 0 to 255."""
    return sha256(customer_id.bytes).digest()[0]


def order_id_of(customer_id: UUID, random: UUID) -> UUID:
    """Return the id of a new order of a customer, made of a random UUID, of which 110 bits are kept."""
    content = bytearray(random.bytes)
    content[_LAYOUT_BYTE], content[_SHARD_BYTE] = _LAYOUT_BITS, logical_shard_of(customer_id)
    return UUID(bytes=bytes(content))


def logical_shard_in(order_id: UUID) -> int | None:
    """Return the logical shard that an order's id carries; None for an id that was made before there were shards."""
    content = order_id.bytes
    return content[_SHARD_BYTE] if content[_LAYOUT_BYTE] == _LAYOUT_BITS else None
