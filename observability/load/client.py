"""HTTP client of the load generator: keep-alive connections, no retries, no trace headers, a bounded wait."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import aiohttp

from observability.load.options import LoadOptions
from observability.load.orders import PlannedOrder
from observability.load.outcomes import Exchange

# Below the five seconds after which uvicorn closes an idle connection. A request written to a connection that the
# server is closing would be lost, since this client does not retry.
_KEEP_ALIVE_SECONDS = 3.0


class LoadClient:
    """Sends planned orders to one edge, each once."""

    def __init__(self, *, session: aiohttp.ClientSession, options: LoadOptions) -> None:
        self._session = session
        self._url = f"http://{options.target}/orders"
        self._look_url = f"http://{options.target}/stock-hints"
        self._key_prefix = f"load-{options.seed}-{options.run_nonce}"

    async def place(self, order: PlannedOrder) -> Exchange:
        """Send the order and read the whole answer; a transport failure gives an exchange without a status."""
        try:
            async with self._request(order) as response:
                return Exchange(status=response.status, body=await response.read())
        except TimeoutError:
            return Exchange(failure="TIMEOUT")
        except aiohttp.ClientConnectorError:
            return Exchange(failure="CONNECTION_FAILED")
        except aiohttp.ClientError:
            return Exchange(failure="CONNECTION_LOST")

    def _request(self, order: PlannedOrder) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        if order.looks:
            return self._session.get(self._look_url, params=[("sku", line.sku) for line in order.lines])
        headers = {"X-Customer-Id": order.customer_id, "Idempotency-Key": f"{self._key_prefix}-{order.index}"}
        return self._session.post(self._url, data=order.body, headers=headers)


@asynccontextmanager
async def open_client(options: LoadOptions) -> AsyncIterator[LoadClient]:
    """Open a client for a run and close its connections afterwards."""
    connector = aiohttp.TCPConnector(limit=options.maximum_connections, keepalive_timeout=_KEEP_ALIVE_SECONDS)
    session = aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=options.request_timeout_seconds),
        headers={
            "Content-Type": "application/json",
            "User-Agent": "plumb-load",
            **({"Prefer": "respond-async"} if options.respond_async else {}),
        },
        skip_auto_headers=("Accept-Encoding",),
        cookie_jar=aiohttp.DummyCookieJar(),
    )
    async with session:
        yield LoadClient(session=session, options=options)
