"""What is logged of requests, and what cannot be smuggled into it."""

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from testing.servers import Server, running

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SECRET = "nothing-for-any-log"
ROWS = {"features": {"d0": [1, 2, 3]}}
GENERATED = re.compile(r"[0-9a-f]{12}-[0-9]+")
# Raises where a request is answered, by scoring and behind FastAPI.
BROKEN = """
import thimble.service.telemetry.metrics, thimble.service.wire.rows

def broken(*_):
    raise RuntimeError("first\\r\\nsecond \\x1b[31mred\\x1b[0m")

thimble.service.telemetry.metrics.exposition = thimble.service.wire.rows.answer = broken
"""


@pytest.fixture(scope="module", params=["1", "2"])
def server(small_artifact: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    env = {"THIMBLE_API_KEYS": SECRET}
    flags = ["--log-format", "json", "--log-probes", "--workers", request.param]
    with running(small_artifact, *flags, env=env) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30, headers={"authorization": f"Bearer {SECRET}"}) as client:
        yield client


def line_of(server: Server, response: httpx.Response) -> dict[str, Any]:
    """The access line with the id of an answer."""
    name = response.headers["x-request-id"]
    server.wait_for_line(re.escape(f'"request_id":{json.dumps(name)}'))
    (line,) = [line for line in map(json.loads, server.lines) if line.get("request_id") == name]
    assert isinstance(line, dict)
    return line


def test_an_access_line_says_all_of_a_request_but_its_secrets(server: Server, client: httpx.Client) -> None:
    headers = {"x-request-id": "checkout/42", "traceparent": f"00-{TRACE}-{SPAN}-01"}
    response = client.post(f"/v1/score?token={SECRET}", json=ROWS, headers=headers)
    assert response.status_code == 200 and response.headers.get_list("x-request-id") == ["checkout/42"]
    line = line_of(server, response)
    assert line.pop("ms") > 0 and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line.pop("time"))
    assert line.pop("message").startswith("POST /v1/score 200 ")
    assert line == {
        "level": "info",
        "logger": "thimble.access",
        "method": "POST",
        "path": "/v1/score",
        "status": 200,
        "client": "127.0.0.1",
        "request_id": "checkout/42",
        "trace_id": TRACE,
        "span_id": SPAN,
        "model": "small",
        "version": 1,
        "rows": 3,
    }
    assert SECRET not in "\n".join(server.lines)


def test_every_answer_of_the_application_has_an_id_of_its_own(server: Server, client: httpx.Client) -> None:
    found = []
    for _ in range(2):
        for method, path in [
            ("POST", "/v1/score"),
            ("POST", "/v1/models/none/score"),
            ("GET", "/v1/score"),
            ("GET", "/healthz"),
            ("GET", "/v2/health/ready"),
            ("HEAD", "/v1/models"),
            ("GET", "/metrics"),
            ("GET", "/nothing"),
        ]:
            found.append(client.request(method, path))
            found.append(httpx.request(method, f"{server.url}{path}"))  # by another connection, and without a key
    names = [response.headers["x-request-id"] for response in found]
    assert len(set(names)) == len(names) and all(map(GENERATED.fullmatch, names))
    assert [line_of(server, response)["status"] for response in found] == [response.status_code for response in found]
    assert {response.status_code for response in found} == {200, 400, 401, 404, 405}


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        (b"!", True),
        (b"~" * 128, True),
        (b'{"level":"error"}', True),
        (b"<script>", True),
        (b"", False),
        (b"x" * 129, False),
        (b"x" * 60_000, False),
        (b"two words", False),
        (b"tab\there", False),
        (b"\x1b[31mred", False),
        (b"del\x7f", False),
        ("schlüssel".encode(), False),
        (b"\xff\xfe", False),
    ],
)
def test_an_id_that_is_not_fit_is_replaced(server: Server, client: httpx.Client, name: bytes, kept: bool) -> None:
    url = httpx.URL(server.url)
    with socket.create_connection((url.host, url.port or 0), timeout=30) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-request-id: %s\r\n\r\n" % name)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head = answer.partition(b"\r\n\r\n")[0]
    if not head.startswith(b"HTTP/1.1 200"):  # a control character is no header
        assert head.startswith(b"HTTP/1.1 400") and not kept
        return
    (found,) = re.findall(rb"\r\nx-request-id: ([^\r]*)", head)
    assert found == name if kept else GENERATED.fullmatch(found.decode())


@pytest.mark.parametrize(
    ("header", "valid"),
    [
        (f"00-{TRACE}-{SPAN}-00", True),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-brings", True),
        (f"00-{TRACE}-{SPAN}-01-more", False),
        (f"ff-{TRACE}-{SPAN}-01", False),
        (f"00-{TRACE.upper()}-{SPAN}-01", False),
        (f"00-{'0' * 32}-{SPAN}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE}-{SPAN}", False),
        (f"00-{TRACE}-{SPAN}-1", False),
        (f"00-{TRACE}\t-{SPAN}-01", False),
        (f"cc-{TRACE}-{SPAN}-01.more", False),
        ('", "level": "error', False),
        ("x" * 10_000, False),
        ("", False),
    ],
)
def test_only_a_valid_traceparent_is_logged(server: Server, client: httpx.Client, header: str, valid: bool) -> None:
    line = line_of(server, client.get("/healthz", headers={"traceparent": header}))
    assert [line.get("trace_id"), line.get("span_id")] == ([TRACE, SPAN] if valid else [None, None])


PATHS = [
    "/a%0AINFO%20forged%0D%0A",
    "/%1b%5b31m%1b]0;title%07",
    "/%7f%c2%85%e2%80%a8%e2%80%ae%9b31m",
    "/v1/models/%0a%1b[2J/score",
    "/v1/models/%0a%1b[2J/versions/%0a/score",
    "/v2/models/%0a%1b[2J/infer",
    "/v2/repository/models/%0a%1b[2J/load",
    "/v1/models/%0a%1b[2J/versions/1%0a",
    "/v1/models/%0a%1b[2J/rollback",
]


@pytest.mark.parametrize("form", ["human", "json"])
def test_no_path_breaks_or_colours_a_line(small_artifact: Path, form: str) -> None:
    env = {"THIMBLE_ADMIN_KEYS": SECRET}
    with running(small_artifact.parents[2], "--log-format", form, env=env) as server:
        before = len(server.lines)
        url = httpx.URL(server.url)
        asked = 0
        for path in PATHS:
            for method in ("GET", "POST", "PUT"):
                with socket.create_connection((url.host, url.port or 0), timeout=30) as connection:
                    head = f"{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {SECRET}\r\n"
                    forged = "x-forwarded-for: \x9b31m\u0085forged\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"
                    connection.sendall((head + forged).encode("latin-1"))
                    assert connection.recv(12).split()[1] in (b"400", b"404", b"405")
                    asked += 1
        httpx.get(f"{server.url}/last")
        server.wait_for_line("/last")
        lines = server.lines[before:]
    assert sum(" /" in line for line in lines) >= asked
    for line in lines:
        assert line.isascii() and line.isprintable()
        assert isinstance(json.loads(line), dict) if form == "json" else re.match(r"\d\d:\d\d:\d\d [A-Z]+ \S", line)


@pytest.mark.parametrize("path", ["/v1/score", "/metrics"])
@pytest.mark.parametrize("form", ["human", "json"])
def test_a_failure_is_logged_with_its_request(small_artifact: Path, tmp_path: Path, path: str, form: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(BROKEN)
    with running(small_artifact, "--log-format", form, env={"PYTHONPATH": f"{tmp_path}:."}) as server:
        method = "POST" if path == "/v1/score" else "GET"
        content = json.dumps(ROWS).encode() if path == "/v1/score" else b""
        headers = {"x-request-id": "the-one-that-failed"}
        response = httpx.request(method, f"{server.url}{path}", content=content, headers=headers)
        assert response.status_code == 500 and "second" not in response.text
        assert response.headers["x-request-id"] == "the-one-that-failed"
        server.wait_for_line(f"{method} {path} 500")
    log = "\n".join(server.lines)
    assert f"{path}, request the-one-that-failed," in log
    assert log.count("Traceback") == 1 and "\x1b" not in log and "\r" not in log
    if form == "json":
        errors = [line for line in map(json.loads, server.lines) if line["level"] == "error"]
        assert len(errors) == 1 and "RuntimeError" in errors[0]["exception"]


def test_without_an_access_log_there_are_no_ids(small_artifact: Path) -> None:
    with running(small_artifact, "--no-access-log") as server:
        for path in ("/healthz", "/nothing"):
            assert "x-request-id" not in httpx.get(f"{server.url}{path}", headers={"x-request-id": "mine"}).headers
        assert "x-request-id" not in httpx.post(f"{server.url}/v1/score", json=ROWS).headers
    assert not [line for line in server.lines if "/healthz" in line]


def test_probes_and_scrapes_have_a_line_only_when_they_are_answered_otherwise(small_artifact: Path) -> None:
    env = {"THIMBLE_API_KEYS": SECRET, "THIMBLE_ADMIN_KEYS": f"{SECRET}-admin"}
    key, admin = {"authorization": f"Bearer {SECRET}"}, {"authorization": f"Bearer {SECRET}-admin"}
    with running(small_artifact.parents[2], "--log-format", "json", env=env) as server:
        with httpx.Client(base_url=server.url, headers=key) as client:

            def watch(ready: int) -> None:
                for _ in range(3):
                    for path in ("/healthz", "/v2/health/live", "/metrics"):
                        assert GENERATED.fullmatch(client.get(path).headers["x-request-id"])
                    for path in ("/readyz", "/v2/health/ready"):
                        assert client.get(path).status_code == ready

            watch(200)
            for change, ready in (("unload", 503), ("load", 200)):
                changed = client.post(f"/v2/repository/models/small/{change}", headers=admin, timeout=60)
                assert changed.status_code == 200, changed.text
                watch(ready)
            for _ in range(3):
                assert httpx.get(f"{server.url}/metrics").status_code == 401
            client.get("/last")
        server.wait_for_line("/last")
        lines = [line for line in map(json.loads, server.lines) if line["logger"] == "thimble.access"]
    changes = ("/v2/repository/models/small/unload", "/v2/repository/models/small/load", "/last")
    assert [(line["path"], line["status"]) for line in lines if line["path"] not in changes] == [
        ("/readyz", 503),
        ("/v2/health/ready", 503),
        ("/readyz", 200),
        ("/v2/health/ready", 200),
        ("/metrics", 401),
    ]
