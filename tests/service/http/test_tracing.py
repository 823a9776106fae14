"""Spans, sent to a collector."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from testing.collector import Collector, Span, collecting
from testing.servers import Server, running

SERVER_KIND, ERROR = 2, 2
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
ROWS = {"features": {"d0": [1, 2, 3]}}
SECRET = "nothing-for-any-trace"
# Raises where FastAPI's routes are answered.
BROKEN = """
import thimble.service.telemetry.metrics

def broken():
    raise RuntimeError("broken")

thimble.service.telemetry.metrics.exposition = broken
"""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


def environment(collector: Collector, delay_ms: int = 100) -> dict[str, str]:
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": str(delay_ms)}


def traced(trace: str, flags: str = "01") -> dict[str, str]:
    return {"traceparent": f"00-{trace}-{SPAN}-{flags}", "tracestate": "vendor=1"}


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_request_is_a_span_of_its_clients_trace(small_artifact: Path, collector: Collector, workers: str) -> None:
    flags = ("--tracing", "--log-format", "json", "--workers", workers)
    with running(small_artifact, *flags, env=environment(collector)) as server:
        for number in range(4):  # each on a connection of its own, and so by each worker in turn
            headers = {**traced(f"{number:031x}1"), "x-request-id": f"number-{number}"}
            assert httpx.post(f"{server.url}/v1/score?key={SECRET}", json=ROWS, headers=headers).status_code == 200
        spans = {span.trace: span for span in collector.wait_for(4)}
        server.wait_for_line("number-3")
    assert set(spans) == {f"{number:031x}1" for number in range(4)}
    span = spans["0" * 31 + "1"]
    assert (span.name, span.kind, span.status, span.parent) == ("POST /v1/score", SERVER_KIND, 0, SPAN)
    assert span.attributes == {
        "http.request.method": "POST",
        "http.route": "/v1/score",
        "http.response.status_code": 200,
        "url.path": "/v1/score",
        "url.scheme": "http",
        "client.address": "127.0.0.1",
        "thimble.request_id": "number-0",
        "thimble.model": "small",
        "thimble.version": 1,
        "thimble.rows": 3,
    }
    assert span.resource["service.name"] == "thimble"
    lines = [line for line in map(json.loads, server.lines) if "request_id" in line]
    assert {line["trace_id"]: line["span_id"] for line in lines} == {it.trace: it.span for it in spans.values()}


def test_routes_and_outcomes_are_told_apart(small_artifact: Path, tmp_path: Path, collector: Collector) -> None:
    (tmp_path / "sitecustomize.py").write_text(BROKEN)
    asked = {
        ("POST", "/v1/models/small/versions/1/score"): (400, "/v1/models/{model}/versions/{version}/score"),
        ("POST", "/v1/models/none/score"): (404, "/v1/models/{model}/score"),
        ("GET", "/v1/score"): (405, "/v1/score"),
        ("POST", "/v2/models/small/infer"): (400, "/v2/models/{model}/infer"),
        ("POST", "/v2/models/small/versions/7/infer"): (404, "/v2/models/{model}/versions/{version}/infer"),
        ("GET", "/v2/models/small/config"): (200, "/v2/models/{model}/config"),
        ("GET", "/v2"): (200, "/v2"),
        ("GET", "/docs"): (200, "/docs"),
        ("GET", "/docs/none.js"): (404, "/docs/{name}"),
        ("HEAD", "/v2/models/stats"): (200, "/v2/models/stats"),
        ("HEAD", "/v1/models/small/score"): (405, "/v1/models/{model}/score"),
        ("PUT", "/v1/models/small/versions/2"): (403, "/v1/models/{model}/versions/{version}"),
        ("GET", "/readyz"): (200, "/readyz"),
        ("GET", "/nothing/there"): (404, None),
        ("GET", "/metrics"): (500, "/metrics"),
    }
    env = environment(collector) | {"PYTHONPATH": f"{tmp_path}:."}
    with running(small_artifact, "--tracing", "--no-access-log", "--log-probes", env=env) as server:
        for (method, path), (status, _) in asked.items():
            assert httpx.request(method, server.url + path).status_code == status
        spans = {
            (span.attributes["http.request.method"], span.attributes["url.path"]): span
            for span in collector.wait_for(len(asked))
        }
    assert len(spans) == len(asked) == len({span.trace for span in spans.values()})
    for (method, path), (status, route) in asked.items():
        span = spans[method, path]
        assert span.name == (f"{method} {route}" if route else method)
        assert span.attributes["http.response.status_code"] == status
        assert span.attributes.get("http.route") == route
        assert span.parent == ""
        assert (span.status, span.attributes.get("error.type")) == ((ERROR, "500") if status == 500 else (0, None))
    assert spans["POST", "/v1/models/small/versions/1/score"].attributes["thimble.model"] == "small"


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_not_sent_yet_is_when_the_server_stops(
    small_artifact: Path, collector: Collector, workers: str, number: signal.Signals
) -> None:
    env = environment(collector, delay_ms=600_000)
    server = Server(small_artifact, "--port", "0", "--tracing", "--workers", workers, env=env)
    for _ in range(6):
        assert httpx.get(f"{server.url}/v1/models").status_code == 200
    assert collector.spans == []
    server.process.send_signal(number)
    assert server.wait() == 0
    assert len(collector.spans) == 6


def test_a_collector_that_is_not_there_harms_nobody(small_artifact: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        endpoint = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "10"}
        with running(small_artifact, "--tracing", env=env) as server:
            for _ in range(20):
                assert httpx.post(f"{server.url}/v1/score", json=ROWS).status_code == 200
        assert server.process.returncode == 0


def test_the_variables_of_opentelemetry_are_heeded(small_artifact: Path, collector: Collector) -> None:
    env = environment(collector) | {
        "OTEL_SERVICE_NAME": "ranking",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=seven",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_TRACES_SAMPLER": "parentbased_always_off",
    }
    with running(small_artifact, "--tracing", env=env) as server:
        httpx.get(f"{server.url}/v1/models")
        httpx.get(f"{server.url}/v1/models", headers=traced(TRACE, flags="00"))
        httpx.get(f"{server.url}/v1/models", headers=traced(TRACE))
        collector.wait_for(1)
    (span,) = collector.spans
    assert (span.name, span.trace, span.parent) == ("GET /v1/models", TRACE, SPAN)
    assert span.resource["service.name"] == "ranking"
    assert span.resource["deployment.environment.name"] == "test"
    assert collector.headers["x-tenant"] == "seven"


def test_probes_and_scrapes_are_not_traced(small_artifact: Path, collector: Collector) -> None:
    with running(small_artifact, "--tracing", env=environment(collector)) as server:
        for path in ("/healthz", "/readyz", "/v2/health/live", "/v2/health/ready", "/metrics", "/v1/models"):
            assert httpx.get(f"{server.url}{path}", headers=traced(TRACE)).status_code == 200
    assert [span.name for span in collector.spans] == ["GET /v1/models"]


HOSTILE = [
    {"traceparent": ""},
    {"traceparent": "x" * 60_000},
    {"traceparent": f"00-{'0' * 32}-{SPAN}-01"},
    {"traceparent": f"00-{TRACE}-{'0' * 16}-01"},
    {"traceparent": f"ff-{TRACE}-{SPAN}-01"},
    {"traceparent": f"00-{TRACE.upper()}-{SPAN}-01"},
    {"traceparent": f"00-{TRACE}-{SPAN}-01-\xff"},
    {"tracestate": "a=1," * 15_000},
    {"baggage": "a=%0a," * 10_000},
    {"baggage": "\xff\xfe=;;,=,"},
]


def test_hostile_contexts_are_answered_and_begin_a_trace_of_their_own(
    small_artifact: Path, collector: Collector
) -> None:
    with running(small_artifact, "--tracing", env=environment(collector)) as server:
        for headers in HOSTILE:
            raw = {name: value.encode("latin-1") for name, value in headers.items()}
            assert httpx.post(f"{server.url}/v1/score", json=ROWS, headers=raw).status_code == 200  # type: ignore[arg-type]
        httpx.get(f"{server.url}/v1/models", headers={**traced(TRACE), "tracestate": "a=1," * 15_000})
        spans = collector.wait_for(len(HOSTILE) + 1)
        assert not [line for line in server.lines if "Traceback" in line]

    def root(span: Span) -> bool:
        return span.parent == "" and span.trace != TRACE

    assert [root(span) for span in spans] == [True] * len(HOSTILE) + [False]


def test_without_the_flag_nothing_of_it_is_there() -> None:
    imported = "from thimble.service import cli; from thimble.service.process import server"
    modules = f"import sys; {imported}; print([m for m in sys.modules if 'telemetry.sdk' in m])"
    assert subprocess.check_output([sys.executable, "-c", modules], text=True).strip() == "[]"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_missing_package_is_said_in_one_sentence(small_artifact: Path, tmp_path: Path, workers: str) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['opentelemetry.sdk'] = None\n")
    server = Server(small_artifact, "--tracing", "--workers", workers, env={"PYTHONPATH": f"{tmp_path}:."})
    assert server.wait() == 1
    assert len(server.lines) == 1 and "pip install -e '.[otel]'" in server.lines[0], server.lines
