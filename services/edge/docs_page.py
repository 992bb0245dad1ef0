"""Page /docs: Swagger UI of the OpenAPI document. Its files come from a wheel, so it works without a network."""

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from starlette.responses import Response

# The page has no inline script, so the policy allows none; Swagger UI needs inline styles and data: images.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="docs/files/favicon.png">
<link rel="stylesheet" href="docs/files/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/files/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
START = 'SwaggerUIBundle({url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null});\n'


def install(application: FastAPI) -> None:
    """Add the page to an application, whose own `docs_url` must be None."""
    page = PAGE.format(title=application.title)

    async def show(_request: Request) -> Response:
        return HTMLResponse(page, headers={"Content-Security-Policy": POLICY})

    async def start(_request: Request) -> Response:
        return Response(START, media_type="text/javascript")

    application.add_route("/docs", show, include_in_schema=False)
    application.add_route("/docs/start.js", start, include_in_schema=False)
    application.mount("/docs/files", StaticFiles(packages=[("fastapi_offline", "static")]))
