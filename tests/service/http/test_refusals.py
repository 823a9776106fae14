"""What is refused at the connection has an id and a line, unless that would be too many lines."""

import json
import re
import socket
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from testing.servers import Server, running
from tests.service.telemetry.test_metrics import samples

GENERATED = re.compile(r"[0-9a-f]{12}-[0-9]+")
JSON = ["--log-format", "json"]
# Thousands of rows, so that the queue is full for a while.
LARGE = orjson.dumps({"features": {"C1": [f"{number:08x}" for number in range(5000)]}})
SMALL = orjson.dumps({"features": {}})


def asked(server: Server, content: bytes) -> tuple[int, str]:
    """The status and the id of what is answered."""
    url = httpx.URL(server.url)
    with socket.create_connection((url.host, url.port or 0), timeout=30) as connection:
        connection.sendall(content)
        head = b"".join(iter(connection.makefile("rb").readline, b"\r\n")).decode("latin-1")
    (name,) = re.findall(r"\r\nx-request-id: (\S*)", head)
    return int(head.split()[1]), name


def asked_in_a_row(server: Server, bodies: list[bytes]) -> list[tuple[int, str]]:
    """The statuses and the ids of answers to requests that are sent at once, 256 at most: none is waited for."""
    url = httpx.URL(server.url)
    heads = [b"POST /v1/score HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n" % len(body) for body in bodies]
    heads[-1] += b"connection: close\r\n"
    with socket.create_connection((url.host, url.port or 0), timeout=60) as connection:
        connection.sendall(b"".join(head + b"\r\n" + body for head, body in zip(heads, bodies, strict=True)))
        answers = b"".join(iter(lambda: connection.recv(1 << 16), b"")).decode("latin-1")
    found = re.findall(r"HTTP/1\.1 (\d+) .*?\r\nx-request-id: (\S*)", answers, re.DOTALL)
    assert len(found) == len(bodies)
    return [(int(status), name) for status, name in found]


def lines_of(server: Server) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, server.lines) if line["logger"] == "thimble.access"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_is_no_request_has_an_id_and_a_line(small_artifact: Path, workers: str) -> None:
    refusals = {
        "not HTTP": (b"\x16\x03\x01 hello\r\n\r\n", 400),
        "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
        "escapes": (b"GET / HTTP/1.1\r\nhost: x\r\nbad\x1b[31m header\r\n\r\n", 400),
        "large headers": (b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 300_000, 431),
        "late headers": (b"GET / HTTP/1.1\r\n", 408),
    }
    with running(small_artifact, *JSON, "--read-timeout-s", "0.5", "--workers", workers) as server:
        found = {name: asked(server, content) for name, (content, _) in refusals.items()}
        assert [status for status, _ in found.values()] == [status for _, status in refusals.values()]
        names = [name for _, name in found.values()]
        assert len(set(names)) == len(names) and all(map(GENERATED.fullmatch, names))
        for name in names:
            server.wait_for_line(name)
        lines = {line["request_id"]: line for line in lines_of(server)}
    for status, name in found.values():
        line = lines[name]
        assert (line["method"], line["path"], line["status"], line["client"]) == ("-", "-", status, "127.0.0.1")
        assert line["error"] and line["error"].isascii() and line["error"].isprintable()


def test_a_connection_too_many_has_an_id_and_a_line(small_artifact: Path) -> None:
    with running(small_artifact, *JSON, "--max-connections", "1") as server:
        url = httpx.URL(server.url)
        with socket.create_connection((url.host, url.port or 0), timeout=30) as first:
            first.sendall(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n")
            assert first.recv(12) == b"HTTP/1.1 200"
            status, name = asked(server, b"")
        server.wait_for_line(name)
        line = next(line for line in lines_of(server) if line["request_id"] == name)
    assert status == line["status"] == 429 and "the limit" in line["error"]


def test_a_full_queue_has_ids_and_no_more_lines_than_are_told(criteo_artifact: Path) -> None:
    flags = ["--max-queued-rows", "1", "--batch-rows", "8", "--timeout-ms", "60000", *JSON]
    statuses: Counter[int] = Counter()
    names: set[str] = set()
    with running(criteo_artifact, *flags) as server:
        busy = threading.Event()

        def keep_busy() -> None:
            with httpx.Client(base_url=server.url, timeout=60) as client:
                while not busy.is_set():
                    statuses[client.post("/v1/score", content=LARGE).status_code] += 1

        threads = [threading.Thread(target=keep_busy) for _ in range(2)]
        for thread in threads:
            thread.start()
        while not [line for line in server.lines if "more refusals have no line" in line]:
            for status, name in asked_in_a_row(server, [SMALL] * 250):
                statuses[status] += 1
                if status == 429:
                    names.add(name)
        busy.set()
        for thread in threads:
            thread.join()
        httpx.get(f"{server.url}/last")
        server.wait_for_line("/last")
        found = samples(server.url)
    lines = [line for line in lines_of(server) if line["status"] == 429]
    left_out = found["thimble_log_lines_left_out_total", ()]
    refused = found["thimble_request_seconds_count", (("model", "criteo"), ("status", "429"), ("version", "1"))]
    assert refused == statuses[429]
    assert len(lines) < refused and 0 < left_out <= refused - len(lines)
    assert {line["request_id"] for line in lines} & names
    assert all((line["path"], line["model"]) == ("/v1/score", "criteo") for line in lines)
