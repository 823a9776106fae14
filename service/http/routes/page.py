"""The page for people at `/`, and the files that it is made of.

It has to be reached before a key can be entered on it, so it is open: its files are the same for everybody, and all
that is said of models comes by the other routes, which ask for a key.
"""

from html import escape

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from thimble.service import page

# Nothing but this server's own files runs or is shown, and no text is ever taken for HTML.
POLICY = "; ".join(
    (
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("script", "style", "img", "connect")),
        "base-uri 'self'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # asked again, and told at once that nothing has changed
}


def page_router(root_path: str) -> APIRouter:
    """The routes; `root_path` is where a proxy serves them, if that is known. Else all links are relative."""
    router = APIRouter(include_in_schema=False)
    assets = StaticFiles(directory=page.FOLDER)
    start = (page.FOLDER / page.START).read_text("utf-8")
    if root_path:  # a browser may have come without the slash at its end
        start = start.replace("<head>", f'<head>\n<base href="{escape(root_path)}/">', 1)

    @router.get("/")
    async def index() -> Response:
        return HTMLResponse(start, headers=HEADERS)

    @router.get("/page/{name}")
    async def asset(name: str, request: Request) -> Response:
        if name not in page.FILES:
            raise HTTPException(404)
        response = await assets.get_response(name, request.scope)
        response.headers.update(HEADERS)
        return response

    return router
