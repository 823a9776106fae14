"""Who asks by way of a proxy is believed of those that are trusted, and of nobody else."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from testing.servers import Server, running

ROW: dict[str, Any] = {"features": {}}
PATHS = {"/v1/score": "the small requests' way", "/v1/models/none/score": "the application's"}


def clients(server: Server, *forwarded: str) -> set[str]:
    """Who asked, as the access lines of both ways say it."""
    headers = [("x-forwarded-for", value) for value in forwarded]
    names = []
    for path in PATHS:
        response = httpx.post(f"{server.url}{path}", json=ROW, headers=headers)
        assert response.status_code in (200, 404)
        names.append(response.headers["x-request-id"])
    for name in names:
        server.wait_for_line(re.escape(name))
    return {line["client"] for line in map(json.loads, server.lines) if line.get("request_id") in names}


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_proxy_on_the_same_host_is_believed(small_artifact: Path, workers: str) -> None:
    with running(small_artifact, "--log-format", "json", "--workers", workers) as server:
        assert clients(server) == {"127.0.0.1"}
        assert clients(server, "203.0.113.7") == {"203.0.113.7"}
        assert clients(server, "203.0.113.7:4711") == {"203.0.113.7"}
        assert clients(server, "[2001:db8::7]:443") == {"2001:db8::7"}
        assert clients(server, "2001:db8::7") == {"2001:db8::7"}
        assert clients(server, "") == {"127.0.0.1"}
        assert clients(server, "unix:") == {"unix:"}
        # what a client claims stands before what its proxy has seen
        assert clients(server, "10.0.0.1, 203.0.113.7") == {"203.0.113.7"}
        assert clients(server, "10.0.0.1", "203.0.113.7, 127.0.0.1") == {"203.0.113.7"}
        assert clients(server, "198.51.100.1, " * 4_000 + "203.0.113.7") == {"203.0.113.7"}
        assert clients(server, "::1, " * 10_000 + "127.0.0.1") == {"::1"}


def test_a_network_of_proxies_is_believed(small_artifact: Path) -> None:
    flags = ["--log-format", "json", "--trusted-proxies", "127.0.0.0/8, 10.0.0.0/8,2001:db8::/32"]
    with running(small_artifact, *flags) as server:
        assert clients(server, "203.0.113.7, 10.1.2.3, 2001:db8::9") == {"203.0.113.7"}
        assert clients(server, "192.0.2.1, 203.0.113.7, 10.1.2.3:80") == {"203.0.113.7"}


def test_who_is_not_trusted_is_not_believed(small_artifact: Path) -> None:
    with running(small_artifact, "--log-format", "json", "--trusted-proxies", "10.0.0.0/8") as server:
        assert clients(server, "203.0.113.7") == {"127.0.0.1"}


def test_a_socket_of_ipv6_knows_clients_of_ipv4(small_artifact: Path) -> None:
    with running(small_artifact, "--log-format", "json", "--host", "::") as server:
        port = httpx.URL(server.url).port
        response = httpx.post(f"http://127.0.0.1:{port}/v1/score", json=ROW, headers={"x-forwarded-for": "203.0.113.7"})
        plain = httpx.post(f"http://127.0.0.1:{port}/v1/score", json=ROW)
        names = [answer.headers["x-request-id"] for answer in (response, plain)]
        for name in names:
            server.wait_for_line(re.escape(name))
        lines = {line.get("request_id"): line for line in map(json.loads, server.lines)}
    assert [lines[name]["client"] for name in names] == ["203.0.113.7", "127.0.0.1"]


@pytest.mark.parametrize("value", ["*", "proxy", "10.0.0.1/8", "10.0.0", "127.0.0.1;::1", "fe80::1%eth0/64"])
def test_what_is_no_address_is_named_at_start(small_artifact: Path, value: str) -> None:
    server = Server(small_artifact, "--trusted-proxies", value)
    assert server.wait() == 2
    (line,) = server.lines
    assert line.startswith("thimble-serve: --trusted-proxies (THIMBLE_TRUSTED_PROXIES) is ") and repr(value) in line
