"""Admission slots and clients that are slow to send."""

import asyncio

from tests.integration.edge.conftest import Edge

SLOW_CLIENTS = 20
ORDER = {"lines": [{"sku": "85123A", "quantity": 1}]}
HEAD = b"POST /orders HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\nContent-Length: 60\r\n\r\n"


async def test_slots_are_taken_by_whole_requests_alone(edge: Edge) -> None:
    """Twenty clients that send their headers and no body take no slot."""
    host, port = edge.address.split(":")
    slow = [(await asyncio.open_connection(host, int(port)))[1] for _ in range(SLOW_CLIENTS)]
    for writer in slow:
        writer.write(HEAD)
    async with edge.session.post("/orders", json=ORDER, headers={"Idempotency-Key": "one"}) as answer:
        assert answer.status == 201
    assert edge.admission.active == 0
    for writer in slow:
        writer.close()
