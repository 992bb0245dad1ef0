"""Client of Prometheus's HTTP API: instant queries, range queries, and alerts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

QUERY_SECONDS = 30.0


class QueryFailed(Exception):
    """Prometheus rejected a query or did not answer; the message has the expression and the error."""


@dataclass(frozen=True, slots=True)
class PrometheusSeries:
    """One series of an answer: its labels and its values, in order of time."""

    labels: Mapping[str, str]
    values: tuple[float, ...]


class PrometheusClient:
    """Queries one Prometheus, at host:port."""

    def __init__(self, address: str) -> None:
        self._url = f"http://{address}/api/v1"

    async def instant(self, expression: str) -> list[PrometheusSeries]:
        """Evaluate an expression now. Raises QueryFailed."""
        found = await self._query("query", {"query": expression})
        if found["resultType"] == "scalar":
            return [PrometheusSeries({}, (float(found["result"][1]),))]
        return [PrometheusSeries(each["metric"], (float(each["value"][1]),)) for each in found["result"]]

    async def over(self, expression: str, *, start: float, end: float, step_seconds: float) -> list[PrometheusSeries]:
        """Evaluate an expression at each step from one time to another, in seconds since 1970. Raises QueryFailed."""
        parameters = {"query": expression, "start": str(start), "end": str(end), "step": str(step_seconds)}
        found = await self._query("query_range", parameters)
        return [
            PrometheusSeries(each["metric"], tuple(float(value) for _, value in each["values"]))
            for each in found["result"]
        ]

    async def alerts(self) -> list[tuple[str, str]]:
        """Return the alerts that are pending or firing, by name and state."""
        found = await self._query("alerts", {})
        return [(each["labels"]["alertname"], each["state"]) for each in found["alerts"]]

    async def _query(self, path: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        timeout = aiohttp.ClientTimeout(total=QUERY_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(f"{self._url}/{path}", params=parameters) as page,
            ):
                document = await page.json()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise QueryFailed(f"{parameters.get('query', path)}: {error!r}") from error
        if document["status"] != "success":
            raise QueryFailed(f"{parameters.get('query', path)}: {document['error']}")
        data: dict[str, Any] = document["data"]
        return data
