"""Customers that place orders over HTTP and read every answer to its end."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import aiohttp

from tests.e2e.stock import PLENTY
from tests.patience import PATIENCE_SECONDS

CUSTOMER = "6f2b54ae-5f0e-4c3a-9d0a-0f5c2d6e7b81"
# Far above the edge's own deadline of 2 s, so that a late answer is an answer and a lost one is not.
ANSWER_SECONDS = PATIENCE_SECONDS


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: status, headers and decoded body."""

    status: int
    headers: Mapping[str, str]
    body: Any


class Customer:
    """Calls one edge."""

    def __init__(self, session: aiohttp.ClientSession, edge: str) -> None:
        self._session = session
        self._edge = edge

    async def request(
        self, method: str, path: str, *, json: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send one request as the customer and read the answer."""
        url = f"http://{self._edge}{path}"
        headers = {"X-Customer-Id": CUSTOMER, **(headers or {})}
        async with self._session.request(method, url, json=json, headers=headers) as response:
            return Answer(response.status, response.headers, await response.json(content_type=None))

    async def place(self, *skus: str, quantity: int = 1, key: str | None = None, prefer: str = "") -> Answer:
        """Place an order of these SKUs."""
        lines = [{"sku": sku, "quantity": quantity} for sku in skus or PLENTY[:2]]
        headers = {"Idempotency-Key": key or str(uuid4()), **({"Prefer": prefer} if prefer else {})}
        return await self.request("POST", "/orders", json={"lines": lines}, headers=headers)

    async def buy(self) -> Answer:
        """Place an order, and again under its key while it is kept for later; return the last answer."""
        key = str(uuid4())
        async with asyncio.timeout(ANSWER_SECONDS):
            while (answer := await self.place(key=key)).status == HTTPStatus.ACCEPTED:
                await asyncio.sleep(0.05)
        return answer
