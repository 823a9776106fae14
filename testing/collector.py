"""An OpenTelemetry collector that keeps what it is sent."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

PATIENCE = 60


class Span(NamedTuple):
    name: str
    kind: int
    status: int
    trace: str
    span: str
    parent: str
    attributes: dict[str, Any]
    resource: dict[str, Any]


class Collector:
    """Takes traces by OTLP over HTTP."""

    def __init__(self) -> None:
        self._spans: list[Span] = []
        self._news = threading.Condition()
        self.headers: dict[str, str] = {}
        self.url = ""

    def wait_for(self, count: int) -> list[Span]:
        """So many spans, or more."""
        with self._news:
            assert self._news.wait_for(lambda: len(self._spans) >= count, PATIENCE), self._spans
            return list(self._spans)

    @property
    def spans(self) -> list[Span]:
        """Those that have come."""
        return self.wait_for(0)

    def take(self, content: bytes, headers: dict[str, str]) -> None:
        """A request of an exporter."""
        request = ExportTraceServiceRequest()
        request.ParseFromString(gzip.decompress(content) if headers.get("content-encoding") == "gzip" else content)
        with self._news:
            self.headers = headers
            for resource in request.resource_spans:
                of = _plain(resource.resource.attributes)
                for scope in resource.scope_spans:
                    for it in scope.spans:
                        ids = it.trace_id.hex(), it.span_id.hex(), it.parent_span_id.hex()
                        span = Span(it.name, it.kind, it.status.code, *ids, _plain(it.attributes), of)
                        self._spans.append(span)
            self._news.notify_all()


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a free port of the loopback interface."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            headers = {name.lower(): value for name, value in self.headers.items()}
            collector.take(self.rfile.read(int(headers["content-length"])), headers)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()


def _plain(attributes: Any) -> dict[str, Any]:
    return {it.key: getattr(it.value, it.value.WhichOneof("value")) for it in attributes}
