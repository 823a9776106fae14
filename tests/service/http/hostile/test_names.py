"""Tricks with paths and hosts."""

from collections.abc import Callable

import pytest

from tests.service.http.hostile.wire import Rows, Wire, post

NAMES = [
    b"..",
    b".",
    b"../criteo",
    b"..%2f..%2fetc%2fpasswd",
    b"%2e%2e/%2e%2e/etc/passwd",
    b"..%5c..%5cetc",
    b"criteo%00",
    b"%00",
    b"criteo%0a",
    b"criteo%0d%0aX-Injected:%20yes",
    b"%ff%fe",
    b"%ed%a0%80",
    b"caf%C3%A9%F0%9F%8E%89",
    b"criteo%20",
    b"Criteo",
    b"criteo.",
    b"criteo%2f1",
    b"",
    b"/",
    b"%",
    b"%zz",
    b"%25252e",
    b"x" * 20_000,
    b"%41" * 10_000,
    b"*",
    b"{model}",
    b"__class__",
    b"${jndi:ldap://x}",
    b"%s%s%n",
    b"%7b0.__class__%7d",
    b"stats;criteo",
    b"criteo;x=1",
]
ROUTES = [
    b"POST /v1/models/%b/score",
    b"POST /v1/models/%b/versions/1/score",
    b"POST /v1/models/criteo/versions/%b/score",
    b"POST /v2/models/%b/infer",
    b"POST /v2/models/criteo/versions/%b/infer",
    b"GET /v2/models/%b",
    b"GET /v2/models/%b/ready",
    b"GET /v2/models/%b/config",
    b"GET /v2/models/criteo/versions/%b/stats",
    b"GET /v1/models/%b",
    b"GET /docs/%b",
]


@pytest.mark.parametrize("route", ROUTES)
def test_no_trick_with_a_name_finds_anything(connect: Callable[[], Wire], rows: Rows, route: bytes) -> None:
    wire = connect()
    for name in NAMES:
        wire.send(route % name + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
        answer = wire.answer()
        # names that make a path of another form may meet a route of another method
        assert answer.status in (404, 405) and answer.error, name
        assert "x-injected" not in answer.headers


@pytest.mark.parametrize(
    "host", [b"", b"[", b"[::1", b"x/../y", b"x:port", b"a b", b"\xff", b"x" * 10_000, b"http://y"]
)
def test_no_trick_with_the_host_matters(wire: Wire, rows: Rows, host: bytes) -> None:
    body, score = rows[0]
    for path, status in ((b"/nothing", 404), (b"/v1/score", 405), (b"/v2/models/other", 404), (b"/healthz", 200)):
        wire.send(b"GET " + path + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
        assert wire.answer().status == status
    wire.send(post(body).replace(b"Host: x", b"Host: " + host))
    assert wire.answer().scores == pytest.approx([score], abs=1e-6)
