"""The page on which every route can be tried out, and the description that it shows.

All links are relative, so it also works where a proxy serves it below another path. It has to be reached before a key
can be entered on it, so it is open, and the description tells those without a key only what is the same everywhere.
"""

from importlib.resources import files

import orjson
from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from thimble.service.http.keys import Keys
from thimble.service.http.openapi import Description
from thimble.service.wire.rows import JSON

# What is served is described once a key was entered.
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Thimble</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="page"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script>
let key = ""
const enter = original => payload => {
  original(payload)
  key = payload.key?.value ?? ""
  ui.specActions.download()
}
const ui = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#page",
  deepLinking: true,
  requestInterceptor: request => {
    if (request.loadSpec && key) request.headers.Authorization = `Bearer ${key}`
    return request
  },
  plugins: [{statePlugins: {auth: {wrapActions: {authorize: enter, logout: enter}}}}],
})
</script>
</body>
</html>
"""


def docs_router(description: Description, keys: Keys) -> APIRouter:
    """The routes."""
    router = APIRouter(include_in_schema=False)
    # of FastAPI's page, without a content delivery network
    assets = StaticFiles(directory=str(files("fastapi_offline") / "static"))

    @router.get("/docs")
    async def page() -> Response:
        return HTMLResponse(PAGE)

    @router.get("/docs/{name}")
    async def asset(name: str, request: Request) -> Response:
        return await assets.get_response(name, request.scope)

    @router.get("/openapi.json")
    async def openapi(request: Request) -> Response:
        headers = dict(request.scope["headers"])
        if keys.guard_scoring and b"authorization" not in headers:
            return Response(orjson.dumps(description.outline), media_type=JSON)
        keys.check(headers)
        return Response(orjson.dumps(description()), media_type=JSON)

    return router
