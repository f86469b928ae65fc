"""The page at `/docs` that renders the OpenAPI document, by Swagger UI from a package."""

from importlib.util import find_spec
from pathlib import Path

from aiohttp import web

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_INDEX = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Face Liveness Broker: API</title>
<link rel="icon" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
<style>
header {{ font-family: sans-serif; line-height: 1.5; max-width: 1460px; margin: auto; padding: 0 20px; }}
header code {{ overflow-wrap: anywhere; }}
</style>
<header>
<p>After the POST, the GET answers <code>NotStarted</code> until the check is performed. In an app the Vision SDK does
that. Here the simulator does, with the <code>authToken</code> of the POST:
<code>curl -X POST {simulator_url}/simulator/perform -H "Authorization: Bearer AUTH_TOKEN"</code>.
<a href="/console">The console</a> has a button for each step.</p>
<p>A closed padlock means that you have entered a token or key, or that the call may do without. With
<code>make run AUTH=jwt</code> it may not: enter a token under <i>Authorize</i>.
<code>docs/errors.md</code> says what an app does about each error and each result.</p>
</header>
<div id="api"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</html>
"""
_START = 'SwaggerUIBundle({url: "/api/openapi.json", dom_id: "#api", validatorUrl: null});\n'


def api_page_routes(simulator_url: str) -> list[web.RouteDef]:
    """Return the routes of the page; raises `RuntimeError` without the package `swagger-ui-py`.

    The page says how to perform a check at the simulator.
    """
    package = find_spec("swagger_ui")
    if package is None or not package.submodule_search_locations:
        raise RuntimeError("swagger-ui-py is not installed")
    static = Path(package.submodule_search_locations[0], "static")

    def serve(path: str, content: str | Path, content_type: str) -> web.RouteDef:
        async def answer(_request: web.Request) -> web.StreamResponse:
            if isinstance(content, Path):
                return web.FileResponse(content, headers=_HEADERS | {"Content-Type": content_type})
            return web.Response(text=content, content_type=content_type, headers=_HEADERS)

        return web.get(path, answer)

    page = _INDEX.format(simulator_url=simulator_url)
    return [
        *(serve(path, page, "text/html") for path in ("/docs", "/docs/")),
        serve("/docs/start.js", _START, "text/javascript"),
        # Without one a browser asks for `/favicon.ico`.
        serve("/docs/favicon-32x32.png", static / "favicon-32x32.png", "image/png"),
        serve("/docs/swagger-ui.css", static / "swagger-ui.css", "text/css"),
        serve("/docs/swagger-ui-bundle.js", static / "swagger-ui-bundle.js", "text/javascript"),
    ]
