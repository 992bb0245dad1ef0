"""What can an operator ask a process? /livez, /readyz and /metrics, on a port of their own."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from observability.telemetry.http import Receive, Scope, Send
from observability.telemetry.setup import Runtime
from services.infra import deadline
from services.kernel.errors import ServiceError

PROBE_SECONDS = 1.0

Check = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Readiness:
    """Whether the process wants traffic: it serves, it does not drain, and what it needs answers."""

    checks: Mapping[str, Check] = field(default_factory=dict)
    serving: bool = False

    async def failures(self) -> list[str]:
        """Return the names of what is not ready, each with its reason; each check gets a second."""
        found = [] if self.serving else ["serving: no"]
        for name, check in self.checks.items():
            try:
                with deadline.within(PROBE_SECONDS):
                    await check()
            except ServiceError as error:
                found.append(f"{name}: {error.reason}")
        return found


class AdminApplication:
    """A small ASGI application; no framework, since three fixed answers need none."""

    def __init__(self, *, runtime: Runtime, readiness: Readiness) -> None:
        self._runtime = runtime
        self._readiness = readiness

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            status, content_type, body = await self._answer(scope["path"], scope["query_string"])
            headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    async def _answer(self, path: str, query: bytes) -> tuple[int, str, bytes]:
        match path:
            case "/metrics":
                names = parse_qs(query.decode("latin-1")).get("name[]", [])
                body, content_type = self._runtime.render_metrics(names)
                return 200, content_type, body
            case "/livez":
                return 200, "text/plain", b"ok\n"
            case "/readyz":
                failures = await self._readiness.failures()
                return (503 if failures else 200), "text/plain", ("\n".join(failures or ["ok"]) + "\n").encode()
        return 404, "text/plain", b"there are /metrics, /livez and /readyz\n"
