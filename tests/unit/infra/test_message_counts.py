"""Messages with more entries than an RPC takes are rejected before anything is built from them."""

import tracemalloc
from typing import Any

import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from services.infra.rpc.server import MAX_MESSAGE_BYTES, Method
from services.inventory.rpc import server as inventory_rpc
from services.kernel.errors import InvalidField
from services.order.rpc import server as order_rpc
from tests.fakes.inventory import FakeInventory
from tests.fakes.order_service import FakeOrderService

ID = "6f2b54ae-5f0e-4c3a-9d0a-0f5c2d6e7b81"
# A list of pointers to the entries of the largest message alone takes a million bytes.
MOST_BYTES = 64 * 1024
BYTES_FIELD = 2
INVENTORY = inventory_rpc.InventoryServicer(FakeInventory()).methods()
ORDER = order_rpc.OrderServicer(FakeOrderService()).methods()
METHODS = [
    *((descriptor, INVENTORY[descriptor.name][1]) for descriptor in inventory_rpc.SERVICE.methods),
    *((descriptor, ORDER[descriptor.name][1]) for descriptor in order_rpc.SERVICE.methods),
]
WITH_REPEATED = [
    pytest.param(descriptor, method, field.name, id=f"{descriptor.name}.{field.name}")
    for descriptor, method in METHODS
    for field in descriptor.input_type.fields
    if field.is_repeated
]


def largest_message(descriptor: MethodDescriptor, field: str) -> Any:  # of any RPC
    """Return the largest message that a server takes, full of empty entries of one field; else it is well formed."""
    kind = GetMessageClass(descriptor.input_type)
    texts = [each.name for each in kind.DESCRIPTOR.fields if each.name.endswith("_id")]
    head = kind(**dict.fromkeys(texts, ID)).SerializeToString()
    entry = bytes([kind.DESCRIPTOR.fields_by_name[field].number << 3 | BYTES_FIELD, 0])
    return kind.FromString(head + entry * ((MAX_MESSAGE_BYTES - len(head)) // len(entry)))


@pytest.mark.parametrize(("descriptor", "method", "field"), WITH_REPEATED)
async def test_entries_are_counted_before_they_are_built(
    descriptor: MethodDescriptor, method: Method, field: str
) -> None:
    """What is allocated shows it: 314 compressed bytes became 130,000 objects, and half a second."""
    message = largest_message(descriptor, field)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidField) as caught:
            await method(message)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (caught.value.field, caught.value.reason) == (field, f"INVALID_{field.upper()}")
    assert peak_bytes < MOST_BYTES
