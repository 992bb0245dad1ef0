"""Logical shards: a fixed function of the customer, carried by new order ids."""

from uuid import UUID, uuid4

import pytest

from services.order.domain.logical_shard import LOGICAL_SHARDS, logical_shard_in, logical_shard_of, order_id_of

# Stored rows depend on these: they hold for ever. The right values are `printf %s HEX | xxd -r -p | sha256sum`.
KNOWN = {
    "00000000-0000-0000-0000-000000000000": 0x37,
    "00000000-0000-4000-8000-000000000001": 0x86,
    "ffffffff-ffff-ffff-ffff-ffffffffffff": 0x5A,
}


@pytest.mark.parametrize("customer", KNOWN)
def test_logical_shard_of_a_customer_never_changes(customer: str) -> None:
    """Another function would look for the stored orders of a customer elsewhere."""
    assert logical_shard_of(UUID(customer)) == KNOWN[customer]


def test_logical_shards_are_all_used() -> None:
    """Of 10,000 customers with consecutive ids, no shard has more than twice its share."""
    counts = [0] * LOGICAL_SHARDS
    for number in range(10_000):
        counts[logical_shard_of(UUID(int=number))] += 1
    assert min(counts) > 0
    assert max(counts) < 2 * 10_000 / LOGICAL_SHARDS


def test_order_id_carries_the_shard_of_its_customer() -> None:
    """It is a UUIDv8, and its text shows the shard as two digits."""
    customer_id = UUID("00000000-0000-0000-0000-000000000000")
    order_id = order_id_of(customer_id, UUID("12345678-1234-4234-9234-123456789abc"))
    assert str(order_id) == "12345678-1234-8037-9234-123456789abc"
    assert (order_id.version, order_id.variant) == (8, uuid4().variant)
    assert logical_shard_in(order_id) == 0x37


def test_order_id_of_the_time_before_carries_no_shard() -> None:
    """Its random bits are no number of a shard."""
    assert logical_shard_in(UUID("12345678-1234-4037-9234-123456789abc")) is None


def test_order_ids_differ() -> None:
    """The random bits are kept."""
    customer_id = uuid4()
    assert len({order_id_of(customer_id, uuid4()) for _ in range(1_000)}) == 1_000
