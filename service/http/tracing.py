"""Traces: a span a request, sent by OpenTelemetry to where its OTEL_* environment variables say.

Its SDK is imported here and only here, and starts threads, so each worker builds its own.
"""

from threading import Thread
from typing import Any

from opentelemetry import propagate
from opentelemetry.trace import SpanKind, Status, StatusCode
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from thimble.service.errors import StartupError
from thimble.service.http import paths
from thimble.service.http.access import note_of, shown_path

try:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
except ImportError:
    raise StartupError("--tracing needs packages that are not installed: pip install -e '.[otel]'") from None

# For spans that are still to be sent when the server stops.
FLUSH_SECONDS = 5.0
# Of a header with a context; reading a list of thousands would hold up other requests.
HEADER_BYTES = 4096
UNNAMED = "unknown_service"


class Tracing:
    """ASGI middleware: a span a request, a child of the client's, with what routes note for the access log."""

    def __init__(self, app: ASGIApp, probes: bool) -> None:
        """Probes and scrapes have a span only with `probes`."""
        self._app = app
        self._probes = probes
        resource = Resource.create()
        if str(resource.attributes[SERVICE_NAME]).startswith(UNNAMED):
            resource = resource.merge(Resource({SERVICE_NAME: "thimble"}))
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("thimble")
        self._fields = [(field.encode(), field) for field in propagate.get_global_textmap().fields]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (scope["path"] in paths.WATCHED and not self._probes):
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        parent = {
            field: headers[name].decode("latin-1")
            for name, field in self._fields
            if name in headers and len(headers[name]) <= HEADER_BYTES
        }
        method = scope["method"]
        asked = {"http.request.method": method, "url.path": shown_path(scope["path"]), "url.scheme": scope["scheme"]}
        context = propagate.extract(parent)
        span = self._tracer.start_span(method, context, SpanKind.SERVER, asked)
        note, ours = note_of(scope), span.get_span_context()
        if ours.is_valid:
            note["trace_id"], note["span_id"] = f"{ours.trace_id:032x}", f"{ours.span_id:016x}"
        status = 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, answer)
        finally:
            if span.is_recording():
                span.set_attributes(_found(scope, note, status))
                if route := _route(scope):
                    span.update_name(f"{method} {route}")
                    span.set_attribute("http.route", route)
                if status >= 500:
                    span.set_attribute("error.type", str(status))
                    span.set_status(Status(StatusCode.ERROR))
            span.end()

    def close(self) -> None:
        """Send the spans that are left, unless that takes too long."""
        flush = Thread(target=self._provider.shutdown, daemon=True)
        flush.start()
        flush.join(FLUSH_SECONDS)


def _found(scope: Scope, note: dict[str, Any], status: int) -> dict[str, Any]:
    found = {f"thimble.{key}": value for key, value in note.items() if key not in ("trace_id", "span_id")}
    if scope["client"]:
        found["client.address"] = scope["client"][0]
    return {**found, "http.response.status_code": status}


def _route(scope: Scope) -> str | None:
    """The path with placeholders for what a client chooses."""
    path: str = scope["path"]
    if (target := paths.parse(path)) is not None:
        return target.route
    if "route" not in scope:
        return None
    route: str = scope["route"].path
    above = path.count("/") - route.count("/") + 1  # it does not know where its router is included
    return "/".join([*path.split("/")[:above], *route.split("/")[1:]])
