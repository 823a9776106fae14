"""What is not HTTP, or says wrongly where it ends."""

import pytest

from testing.servers import Server
from tests.service.http.hostile.wire import Rows, Wire, chunked, peak_bytes, post
from thimble.service.http.parser import MOST_HEADERS

SCORE = b"POST /v1/score HTTP/1.1\r\nHost: x\r\n"
BOTH = "it has both Content-Length and Transfer-Encoding"


@pytest.mark.parametrize(
    ("content", "culprit"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "Invalid method"),
        (bytes(range(256)), "Invalid method"),
        (b"\x00" * 100_000, "Invalid method"),
        (b"hello\r\n\r\n", "Invalid method"),
        (b"GET\r\n\r\n", ""),
        (b"GET  HTTP/1.1\r\nHost: x\r\n\r\n", ""),
        (b"GET / HTTP/1.1 GET / HTTP/1.1\r\nHost: x\r\n\r\n", ""),
        (b"GET / HTTP/9.9\r\n\r\n", "Invalid HTTP version"),
        (b"GET / HTPT/1.1\r\n\r\n", ""),
        (b"GET healthz HTTP/1.1\r\nHost: x\r\n\r\n", ""),
        (b"GET http://x HTTP/1.1\r\nHost: x\r\n\r\n", "its target is not a path"),
        (b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", "Invalid char in url"),
        (b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", ""),
        (b"GET / HTTP/1.1\nHost: x\n\n", "Expected CRLF"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", "Invalid header token"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n: nameless\r\n\r\n", "Invalid header token"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n folded\r\n\r\n", "Unexpected whitespace"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n", "Invalid header value char"),
        (b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", "CONNECT is not supported"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "Pause on PRI/Upgrade"),
        (post(b"{}", b"Content-Length: 3"), "Duplicate Content-Length"),
        (post(b"{}", b"Content-Length: 2"), "Duplicate Content-Length"),
        (post(b"0\r\n\r\nGET /healthz HTTP/1.1\r\n\r\n", b"Transfer-Encoding: chunked"), BOTH),
        (chunked(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b"Content-Length: 4"), BOTH),
        (SCORE + b"Transfer-Encoding: \r\n\r\n0\r\n\r\n", "Empty Transfer-Encoding"),
        (SCORE + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", "Invalid header"),
        (SCORE + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n{}", "chunk size"),
        (SCORE + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}", "chunk size"),
        (
            SCORE + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 17,
            "Chunk size overflow",
        ),
        (
            SCORE + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
            "after chunk data",
        ),
        (SCORE + b"Content-Length: -1\r\n\r\n", "Invalid character in Content-Length"),
        (SCORE + b"Content-Length: +2\r\n\r\n{}", "Invalid character in Content-Length"),
        (
            SCORE + b"Content-Length: 2, 2\r\n\r\n{}",
            "Invalid character in Content-Length",
        ),
        (SCORE + b"Content-Length: 0x2\r\n\r\n{}", "Invalid character in Content-Length"),
        (SCORE + b"Content-Length: \r\n\r\n{}", "Empty Content-Length"),
        (
            SCORE + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n{}",
            "Content-Length overflow",
        ),
    ],
)
def test_what_is_not_http_is_refused_once_and_never_read_as_two(wire: Wire, content: bytes, culprit: str) -> None:
    wire.send(content)
    answer = wire.answer()
    assert answer.status == 400 and culprit in answer.error and answer.headers["connection"] == "close"
    assert not wire.rest()


@pytest.mark.parametrize(
    ("sent", "named"),
    [
        ("gzip", "gzip"),
        ("gzip, chunked", "gzip, chunked"),
        ("identity ", "identity"),
        ("xchunked", "xchunked"),
        ("chunked;a=b", "chunked;a=b"),
        ("chunked\t", "chunked\t"),
        (", chunked", ", chunked"),
        ("chunked, chunked", "chunked, chunked"),
        ("chunked\r\nTransfer-Encoding: identity", "chunked, identity"),
        ("gzip\r\nContent-Length: 2", "gzip"),
    ],
)
def test_a_transfer_encoding_that_is_not_ours_is_named(wire: Wire, sent: str, named: str) -> None:
    for upgrade in (b"", b"Connection: Upgrade\r\nUpgrade: h2c\r\n"):
        with wire.another() as other:
            other.send(SCORE + upgrade + b"Transfer-Encoding: " + sent.encode() + b"\r\n\r\n0\r\n\r\n")
            answer = other.answer()
            assert answer.status == 501 and answer.headers["connection"] == "close" and not other.rest()
            assert answer.error == f"Transfer-Encoding {named!r} is not supported, only chunked"


def test_chunked_is_known_however_it_is_written(wire: Wire, rows: Rows) -> None:
    body, score = rows[0]
    wire.send(chunked(body).replace(b"chunked", b"  CHunked  "))
    assert wire.answer().scores == pytest.approx([score], abs=1e-6)


def test_a_length_among_trailers_says_nothing(wire: Wire, rows: Rows) -> None:
    """Neither of the body before it nor of the request behind it."""
    body, score = rows[0]
    wire.send(chunked(body)[: -len(b"\r\n")] + b"Content-Length: 50\r\n\r\n" + post(body))
    for _ in range(2):
        assert wire.answer().scores == pytest.approx([score], abs=1e-6)


def test_a_length_too_small_leaves_a_rest_that_is_refused(wire: Wire, rows: Rows) -> None:
    body, score = rows[0]
    wire.send(post(body + b"and more", length=len(body)))
    assert wire.answer().scores == pytest.approx([score], abs=1e-6)
    answer = wire.answer()
    assert answer.status == 400 and "not an HTTP/1.1 request" in answer.error
    assert not wire.rest()


def test_a_body_cut_by_its_length_is_invalid_and_so_is_its_rest(wire: Wire, rows: Rows) -> None:
    wire.send(post(rows[0][0], length=10))
    assert "invalid JSON" in wire.answer().error
    assert "not an HTTP/1.1 request" in wire.answer().error
    assert not wire.rest()


def test_a_length_too_large_is_waited_for_and_no_longer(wire: Wire, rows: Rows) -> None:
    body, _ = rows[0]
    wire.send(post(body, length=len(body) + 1))
    answer = wire.answer()
    assert answer.status == 408 and answer.error == "the body did not arrive within 1 s"
    assert not wire.rest()


def test_lengths_beyond_all_bounds_are_refused_at_once(wire: Wire) -> None:
    wire.send(post(b"{}", length=(1 << 63) - 1))
    answer = wire.answer()
    assert answer.status == 413 and "the limit of 4194304 bytes" in answer.error
    assert not wire.rest()


@pytest.mark.parametrize(
    "content",
    [
        post(b"{}", b"A: " + b"x" * 100_000),
        post(b"{}", b"x" * 100_000 + b": A"),
        post(b"{}", path=b"/v1/score?" + b"x" * 100_000),
        post(b"{}", path=b"/" + b"x/" * 50_000),
    ],
)
def test_too_many_bytes_of_headers_are_refused(wire: Wire, content: bytes) -> None:
    wire.send(content)
    answer = wire.answer()
    assert answer.status == 431 and answer.error == "the headers are larger than 65536 bytes"
    assert b"HTTP/1.1" not in wire.rest()


@pytest.mark.parametrize("start", [b"GET /", b"GET / HTTP/1.1\r\nHost: x\r\nA: ", b"GET / HTTP/1.1\r\nHost: x\r\nA"])
def test_headers_without_an_end_are_cut_off(wire: Wire, start: bytes) -> None:
    sent = 0
    try:
        wire.send(start)
        while sent < 100_000_000:
            wire.send(b"x" * 65536)
            sent += 65536
    except (BrokenPipeError, ConnectionResetError):
        pass
    assert sent < 50_000_000


@pytest.mark.parametrize("count", [MOST_HEADERS, 5000, 40_000])
def test_too_many_headers_are_refused(wire: Wire, rows: Rows, count: int) -> None:
    body, score = rows[0]
    few = [b"A%d: b" % i for i in range(MOST_HEADERS - 2)]  # there are Host and Content-Length
    wire.send(post(body, *few))
    assert wire.answer().scores == pytest.approx([score], abs=1e-6)
    wire.send(post(body, *[b"A: b"] * count))
    answer = wire.answer()
    assert answer.status == 431 and answer.error == f"there are more than {MOST_HEADERS} headers"
    assert b"HTTP/1.1" not in wire.rest()


def test_a_header_may_come_byte_by_byte_and_a_body_chunk_by_chunk(wire: Wire, rows: Rows) -> None:
    body, score = rows[0]
    head, _, _ = chunked(b"").partition(b"0\r\n")
    for byte in head:
        wire.send(bytes([byte]))
    for byte in body:
        wire.send(b"1;extension=x\r\n%c\r\n" % byte)
    wire.send(b"0\r\nTrailer: x\r\n\r\n")
    assert wire.answer().scores == pytest.approx([score], abs=1e-6)


@pytest.mark.parametrize(
    ("headers", "found"), [((), "none"), ((b"Host: x", b"Host: x"), "2"), ((b"hOST: ", b"host: y"), "2")]
)
def test_a_request_of_http_1_1_has_one_host(wire: Wire, headers: tuple[bytes, ...], found: str) -> None:
    for start in (b"GET /healthz HTTP/1.1", b"POST /v1/score HTTP/1.1"):
        with wire.another() as other:
            other.send(b"\r\n".join([start, *headers, b"Content-Length: 0", b"", b""]))
            answer = other.answer()
            assert answer.status == 400 and not other.rest()
            assert answer.error == f"a request has one Host header, this one has {found}"


def test_a_request_of_http_1_0_needs_no_host(wire: Wire) -> None:
    wire.send(b"GET /healthz HTTP/1.0\r\n\r\n")
    assert wire.answer().status == 200


@pytest.mark.parametrize("version", [b"1.0", b"0.9"])
def test_old_clients_are_answered_and_let_go(wire: Wire, rows: Rows, version: bytes) -> None:
    body, score = rows[0]
    wire.send(post(body).replace(b"HTTP/1.1", b"HTTP/" + version))
    answer = wire.answer()
    assert answer.scores == pytest.approx([score], abs=1e-6) and answer.headers["connection"] == "close"
    assert not wire.rest()


def test_head_is_answered_without_what_follows(wire: Wire, rows: Rows) -> None:
    body, score = rows[0]
    for path, status in ((b"/healthz", 200), (b"/docs/swagger-ui.css", 200), (b"/v1/score", 405), (b"/nothing", 404)):
        wire.send(b"HEAD " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = wire.answer(to_head=True)
        assert answer.status == status and int(answer.headers["content-length"])
        wire.send(post(body))
        assert wire.answer().scores == pytest.approx([score], abs=1e-6)


@pytest.mark.parametrize(
    ("length", "culprit"),
    [
        ("1000000", "is 1000000, but the body has"),
        ("9" * 18, "but the body has"),
        ("9" * 19, "is not a length"),
        ("-1", "'-1' is not a length"),
        ("1e3", "'1e3' is not a length"),
        ("", "'' is not a length"),
        ("x" * 5000, "is not a length"),
        ("0", "the JSON"),
        ("1", "invalid JSON"),
    ],
)
def test_header_lengths_that_lie_are_refused(wire: Wire, length: str, culprit: str) -> None:
    body = b'{"inputs": []}' + bytes(100)
    header = b"Inference-Header-Content-Length: " + length.encode()
    wire.send(post(body, header, path=b"/v2/models/criteo/infer"))
    answer = wire.answer()
    assert answer.status == 400 and culprit in answer.error


@pytest.mark.parametrize("timeout", ["0", "-1", "1.5", "", "nan", "9" * 5000])
def test_timeouts_that_are_none_are_refused(wire: Wire, rows: Rows, timeout: str) -> None:
    wire.send(post(rows[0][0], b"Timeout-Ms: " + timeout.encode()))
    answer = wire.answer()
    assert answer.status == 400 and "is not a whole number of milliseconds" in answer.error


def test_trailers_are_no_headers(wire: Wire, rows: Rows) -> None:
    body, score = rows[0]
    trailers = b"Content-Encoding: gzip\r\nTimeout-Ms: none\r\nContent-Type: text/plain\r\n"
    wire.send(chunked(body)[: -len(b"\r\n")] + trailers + b"\r\n")
    assert wire.answer().scores == pytest.approx([score], abs=1e-6)


def test_trailers_without_an_end_fill_no_memory(wire: Wire, rows: Rows, hostile: Server) -> None:
    body, score = rows[0]
    before = peak_bytes(hostile)
    wire.send(chunked(body)[: -len(b"\r\n")] + b"A: b\r\n" * 500_000 + b"\r\n")
    assert wire.answer().scores == pytest.approx([score], abs=1e-6)
    assert peak_bytes(hostile) - before < 16 << 20
