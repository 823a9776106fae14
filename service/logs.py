"""Logs: lines for people, or JSON for machines. One access line a request."""

import json
import logging
import sys
import time
from datetime import UTC, datetime
from typing import Literal

from starlette.types import ASGIApp, Message, Receive, Scope, Send

PATH_SHOWN = 200
access_log = logging.getLogger("thimble.access")


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def configure(log_format: Literal["human", "json"]) -> None:
    """Send this process's logs to standard error; uvicorn's own access log is replaced by ours."""
    handler = logging.StreamHandler(sys.stderr)
    human = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S")
    handler.setFormatter(_JsonFormatter() if log_format == "json" else human)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


class AccessLog:
    """ASGI middleware: a line a request, with the fields that a route put into `request.state.log`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        status = 0

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        scope.setdefault("state", {})["log"] = {}
        try:
            await self._app(scope, receive, note_status)
        except Exception:
            status = status or 500  # answered further out
            raise
        finally:
            fields = {
                "method": scope["method"],
                "path": scope["path"][:PATH_SHOWN].encode("unicode_escape").decode(),
                "status": status,
                "ms": round((time.perf_counter() - start) * 1000, 3),
                "client": scope["client"][0] if scope["client"] else None,
                **scope["state"]["log"],
            }
            access_log.info("%(method)s %(path)s %(status)d %(ms).1f ms", fields, extra={"fields": fields})
