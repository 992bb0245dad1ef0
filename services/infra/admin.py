"""Admin port of a process: /livez, /readyz and /metrics."""

from urllib.parse import parse_qs

from observability.telemetry.http import Receive, Scope, Send
from observability.telemetry.setup import Runtime
from services.infra.address import parse_address
from services.infra.http_server import ADMIN, HttpServer
from services.infra.readiness import Readiness


def admin_server(listen: str, *, runtime: Runtime, readiness: Readiness) -> HttpServer:
    """Return the server of a process's admin port, on host:port."""
    application = AdminApplication(runtime=runtime, readiness=readiness)
    return HttpServer(application, name="admin", listen=parse_address(listen), metrics=runtime.metrics, limits=ADMIN)


class AdminApplication:
    """A plain ASGI application, since three fixed routes need no framework."""

    def __init__(self, *, runtime: Runtime, readiness: Readiness) -> None:
        self._runtime = runtime
        self._readiness = readiness

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            status, content_type, body = await self._answer(scope)
            headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope) -> tuple[int, str, bytes]:
        match scope["path"]:
            case "/metrics":
                names = parse_qs(scope["query_string"].decode("latin-1")).get("name[]", [])
                accept = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
                body, content_type = self._runtime.render_metrics(names, accept=accept)
                return 200, content_type, body
            case "/livez":
                return 200, "text/plain", b"ok\n"
            case "/readyz":
                failures = self._readiness.failures()
                return (503 if failures else 200), "text/plain", ("\n".join(failures or ["ok"]) + "\n").encode()
        return 404, "text/plain", b"not found: there are /metrics, /livez and /readyz\n"
