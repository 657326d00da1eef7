"""/docs: the OpenAPI document to read and to try. All its files are installed here; none is a CDN's."""

from importlib.resources import files

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from app.errors import NotFound

router = APIRouter(include_in_schema=False)

_ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}

# Paths are relative, so that the page works below a proxy's prefix too.
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Facsimile API</title>
<link rel="icon" href="docs/favicon.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="api"></div>
<noscript>This page needs JavaScript; the document is at <a href="openapi.json">openapi.json</a>.</noscript>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""

# A file of its own, so that the page needs no inline script. The validator would be a call to the Internet.
_START = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#api",
  deepLinking: true,
  validatorUrl: null,
  persistAuthorization: false,
  defaultModelsExpandDepth: 0,
});
"""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@router.get("/openapi.json")
async def read_document(request: Request) -> Response:
    """The document."""
    return JSONResponse(request.app.openapi())


@router.get("/docs")
async def read_docs() -> Response:
    """The page."""
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY, "Referrer-Policy": "no-referrer"})


@router.get("/docs/start.js")
async def start_docs() -> Response:
    """What the page runs first."""
    return Response(_START, media_type="text/javascript")


@router.get("/docs/{asset}")
def read_docs_asset(asset: str) -> Response:
    """One of swagger-ui's files, out of the package that carries them."""
    if asset not in _ASSETS:
        raise NotFound("there is nothing at this path; /docs lists what there is")
    content = (files("fastapi_offline") / "static" / asset).read_bytes()
    return Response(content, media_type=_ASSETS[asset], headers={"Cache-Control": "public, max-age=86400"})
