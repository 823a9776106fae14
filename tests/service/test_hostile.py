"""What no good client sends, over real sockets. After each test the server still scores a golden row as it should."""

import gzip
import json
import re
import select
import socket
import struct
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np
import pytest

from models.spec import ModelSpec
from service.engine import golden_batch
from service.protocol import PIPELINED
from tests.servers import Server, running

PATIENCE = 30  # seconds until a test says that the server hangs
READ_TIMEOUT = 1.0
Rows = list[tuple[bytes, float]]


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> str:
        content = json.loads(self.body)
        assert list(content) == ["error"]
        message: str = content["error"]
        assert "\n" not in message and 0 < len(message) < 300
        return message

    @property
    def scores(self) -> list[float]:
        assert self.status == 200, self.body
        found: list[float] = json.loads(self.body)["scores"]
        return found


class Wire:
    """A connection that sends any bytes."""

    def __init__(self, server: Server) -> None:
        host, port = server.url.removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=PATIENCE)
        self._file = self.socket.makefile("rb")

    def send(self, content: bytes) -> None:
        self.socket.sendall(content)

    def answer(self, to_head: bool = False) -> Answer:
        status = self._file.readline().split()
        assert len(status) > 1, "the connection ended without an answer"
        headers = {}
        while line := self._file.readline().strip():
            name, _, value = line.decode().partition(": ")
            headers[name] = value
        return Answer(int(status[1]), headers, b"" if to_head else self._file.read(int(headers["content-length"])))

    def rest(self) -> bytes:
        """What comes until the server closes."""
        try:
            return self._file.read()
        except ConnectionResetError:
            return b""

    def drip(self, byte: bytes) -> None:
        """Send bytes one by one until the server says something."""
        try:
            while not select.select([self.socket], [], [], 0.05)[0]:
                self.send(byte)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def reset(self) -> None:
        """Leave without a goodbye."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        self._file.close()
        self.socket.close()


@pytest.fixture(scope="module")
def hostile(criteo_artifact: Path) -> Iterator[Server]:
    repository = criteo_artifact.parents[2]
    limits = ("--max-rows", "1000", "--max-body-bytes", str(2 << 20), "--read-timeout-s", str(READ_TIMEOUT))
    with running(repository, *limits, "--timeout-ms", "20000") as server:
        yield server


@pytest.fixture
def connect(hostile: Server) -> Iterator[Callable[[], Wire]]:
    with ExitStack() as stack:

        def connect() -> Wire:
            wire = Wire(hostile)
            stack.callback(wire.close)
            return wire

        yield connect


@pytest.fixture
def wire(connect: Callable[[], Wire]) -> Wire:
    return connect()


@pytest.fixture(scope="module")
def rows(criteo: ModelSpec) -> Rows:
    """Golden rows as bodies, each with its score."""
    assert criteo.golden is not None
    columns = criteo.golden.features
    bodies = [
        json.dumps({"features": dict(zip(columns, row, strict=True))}).encode()
        for row in zip(*columns.values(), strict=True)
    ]
    return list(zip(bodies, criteo.golden.scores, strict=True))


@pytest.fixture(autouse=True)
def still_right(hostile: Server, rows: Rows) -> Iterator[None]:
    before = len(hostile.lines)
    yield
    for body, score in rows[:2]:
        response = httpx.post(f"{hostile.url}/v1/score", content=body, timeout=PATIENCE)
        assert response.json()["scores"] == pytest.approx([score], abs=1e-6)
    bad = [line for line in hostile.lines[before:] if re.search(r"Traceback|ERROR| 5\d\d \d+\.\d ms", line)]
    assert not bad


def post(body: bytes, *headers: bytes, path: bytes = b"/v1/score", length: int | None = None) -> bytes:
    """A request with a Content-Length, which may lie."""
    lines = [b"POST %s HTTP/1.1" % path, b"Host: x", b"Content-Length: %d" % (len(body) if length is None else length)]
    return b"\r\n".join([*lines, *headers, b"", body])


def chunked(body: bytes, *headers: bytes) -> bytes:
    lines = [b"POST /v1/score HTTP/1.1", b"Host: x", b"Transfer-Encoding: chunked", *headers]
    return b"\r\n".join([*lines, b"", b"%x" % len(body), body, b"0", b"", b""])


def peak_bytes(server: Server) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1]) << 10


# Compression


def bomb(encoding: str, gigabytes: int = 1) -> bytes:
    """Zeros that inflate to gigabytes; where the server stops, nobody gets to see the checksum that is not there."""
    stream = zlib.compressobj(9, wbits=31 if encoding == "gzip" else 15)
    first = stream.compress(bytes(1 << 20)) + stream.flush(zlib.Z_FULL_FLUSH)
    again = stream.compress(bytes(1 << 20)) + stream.flush(zlib.Z_FULL_FLUSH)
    return first + again * (1024 * gigabytes - 1)


@pytest.mark.parametrize("path", ["/v1/score", "/v2/models/criteo/infer"])
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_bomb_is_refused_within_bounds_of_memory(hostile: Server, encoding: str, path: str) -> None:
    content, headers = bomb(encoding), {"Content-Encoding": encoding}
    assert len(content) < 2 << 20
    before = peak_bytes(hostile)
    with ThreadPoolExecutor(8) as pool:
        url = hostile.url + path
        answers = list(
            pool.map(lambda _: httpx.post(url, content=content, headers=headers, timeout=PATIENCE), range(16))
        )
    assert {answer.status_code for answer in answers} == {413}
    assert all("larger than the limit of 2097152 bytes when decompressed" in answer.text for answer in answers)
    assert peak_bytes(hostile) - before < 100 << 20


GOOD = gzip.compress(b'{"features": {"I1": 1}}')


@pytest.mark.parametrize(
    ("content", "encoding", "status", "culprit"),
    [
        (GOOD[:-1], "gzip", 400, "not one whole gzip stream"),
        (GOOD[: len(GOOD) // 2], "gzip", 400, "not one whole gzip stream"),
        (GOOD[:3], "gzip", 400, "not one whole gzip stream"),
        (GOOD + GOOD, "gzip", 400, "not one whole gzip stream"),
        (GOOD + b"x", "gzip", 400, "not one whole gzip stream"),
        (GOOD[:-6] + b"wrong!", "gzip", 400, "the body is not gzip"),
        (GOOD[:12] + b"\xff\xff\xff" + GOOD[15:], "gzip", 400, "the body is not gzip"),
        (b'{"features": {}}', "gzip", 400, "the body is not gzip"),
        (b"", "gzip", 400, "not one whole gzip stream"),
        (gzip.compress(b""), "gzip", 400, "the body is empty"),
        (GOOD, "deflate", 400, "the body is not deflate"),
        (zlib.compress(b"{}")[2:-4], "deflate", 400, "the body is not deflate"),
        (gzip.compress(GOOD), "gzip", 400, "invalid JSON"),
        (GOOD, "gzip, gzip", 415, "'gzip, gzip' is not gzip or deflate"),
        (GOOD, "br", 415, "'br' is not gzip or deflate"),
        (GOOD, "x" * 5000, 415, "is not gzip or deflate"),
        (GOOD, "", 415, "'' is not gzip or deflate"),
    ],
)
def test_what_is_not_compressed_as_it_says_is_refused(
    hostile: Server, content: bytes, encoding: str, status: int, culprit: str
) -> None:
    headers = {"Content-Encoding": encoding}
    answer = httpx.post(f"{hostile.url}/v1/score", content=content, headers=headers, timeout=PATIENCE)
    assert answer.status_code == status and culprit in answer.json()["error"] and len(answer.text) < 200


# Framing


@pytest.mark.parametrize(
    ("content", "culprit"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "Invalid method"),
        (bytes(range(256)), "Invalid method"),
        (b"\x00" * 100_000, "Invalid method"),
        (b"hello\r\n\r\n", "Invalid method"),
        (b"GET\r\n\r\n", ""),
        (b"GET  HTTP/1.1\r\n\r\n", ""),
        (b"GET / HTTP/1.1 GET / HTTP/1.1\r\n\r\n", ""),
        (b"GET / HTTP/9.9\r\n\r\n", "Invalid HTTP version"),
        (b"GET / HTPT/1.1\r\n\r\n", ""),
        (b"GET healthz HTTP/1.1\r\n\r\n", ""),
        (b"GET http://x HTTP/1.1\r\n\r\n", "its target is not a path"),
        (b"GET /\xff HTTP/1.1\r\n\r\n", "Invalid char in url"),
        (b"GET /a b HTTP/1.1\r\n\r\n", ""),
        (b"GET / HTTP/1.1\nHost: x\n\n", "Expected CRLF"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", "Invalid header token"),
        (b"GET / HTTP/1.1\r\n: nameless\r\n\r\n", "Invalid header token"),
        (b"GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n", "Unexpected whitespace"),
        (b"GET / HTTP/1.1\r\nA: b\x00c\r\n\r\n", "Invalid header value char"),
        (b"CONNECT x:443 HTTP/1.1\r\n\r\n", "CONNECT is not supported"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "Pause on PRI/Upgrade"),
        (post(b"{}", b"Content-Length: 3"), "Duplicate Content-Length"),
        (post(b"{}", b"Content-Length: 2"), "Duplicate Content-Length"),
        (post(b"0\r\n\r\nGET /healthz HTTP/1.1\r\n\r\n", b"Transfer-Encoding: chunked"), "Transfer-Encoding can't be"),
        (chunked(b"GET /healthz HTTP/1.1\r\n\r\n", b"Content-Length: 4"), "Content-Length can't be"),
        (chunked(b"{}", b"Transfer-Encoding: identity"), "Invalid `Transfer-Encoding`"),
        (b"POST /v1/score HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n{}", "invalid `Transfer-Encoding`"),
        (b"POST /v1/score HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "invalid `Transfer-Encoding`"),
        (b"POST /v1/score HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", "Invalid header"),
        (b"POST /v1/score HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n{}", "chunk size"),
        (b"POST /v1/score HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}", "chunk size"),
        (b"POST /v1/score HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 17, "Chunk size overflow"),
        (b"POST /v1/score HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n", "after chunk data"),
        (b"POST /v1/score HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "Invalid character in Content-Length"),
        (b"POST /v1/score HTTP/1.1\r\nContent-Length: +2\r\n\r\n{}", "Invalid character in Content-Length"),
        (b"POST /v1/score HTTP/1.1\r\nContent-Length: 2, 2\r\n\r\n{}", "Invalid character in Content-Length"),
        (b"POST /v1/score HTTP/1.1\r\nContent-Length: 0x2\r\n\r\n{}", "Invalid character in Content-Length"),
        (b"POST /v1/score HTTP/1.1\r\nContent-Length: \r\n\r\n{}", "Empty Content-Length"),
        (b"POST /v1/score HTTP/1.1\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\n{}", "Content-Length overflow"),
    ],
)
def test_what_is_not_http_is_refused_once_and_never_read_as_two(wire: Wire, content: bytes, culprit: str) -> None:
    wire.send(content)
    answer = wire.answer()
    assert answer.status == 400 and culprit in answer.error and answer.headers["connection"] == "close"
    assert not wire.rest()


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
    assert answer.status == 413 and "the limit of 2097152 bytes" in answer.error
    assert not wire.rest()


# Slow senders


@pytest.mark.parametrize(
    "start", [b"P", b"POST /v1/score HTTP/1.1\r\nHost: x\r\nA: ", b"GET /healthz\r\n", b"\r\nGET /"]
)
@pytest.mark.parametrize("drip", [True, False])
def test_headers_have_to_arrive_in_time(wire: Wire, start: bytes, drip: bool) -> None:
    wire.send(start)
    if drip and not start.endswith(b"\r\n"):
        wire.drip(b"A")
    answer = wire.answer()
    if answer.status == 408:
        assert answer.error == "the headers did not arrive within 1 s"
    else:  # a method of nothing but A is none
        assert answer.status == 400
    assert not wire.rest()


@pytest.mark.parametrize("head", [post(b"{", length=1000), chunked(b"{")[: -len(b"0\r\n\r\n")] + b"3e8\r\n"])
def test_a_body_has_to_arrive_in_time(wire: Wire, head: bytes) -> None:
    wire.send(head)
    wire.drip(b" ")
    answer = wire.answer()
    assert answer.status == 408 and answer.error == "the body did not arrive within 1 s"
    assert not wire.rest()


@pytest.mark.parametrize("path", [b"/v1/models/other/score", b"/healthz", b"/v2/repository/index"])
def test_a_body_that_nobody_waits_for_has_to_arrive_in_time_too(wire: Wire, path: bytes) -> None:
    wire.send(post(b"{", path=path, length=1 << 40))
    assert wire.answer().status in (200, 404, 405, 413)
    wire.drip(b" ")
    assert not wire.rest()


def test_a_connection_goes_on_after_a_body_that_nobody_waited_for(wire: Wire, rows: Rows) -> None:
    body, score = rows[0]
    for _ in range(3):
        wire.send(post(b"", path=b"/v1/models/other/score", length=100_000))
        assert wire.answer().status == 404
        wire.send(b" " * 100_000 + b"\r\n" + post(body))
        assert wire.answer().scores == pytest.approx([score], abs=1e-6)


# Headers


@pytest.mark.parametrize(
    "content",
    [
        post(b"{}", b"A: " + b"x" * 100_000),
        post(b"{}", b"x" * 100_000 + b": A"),
        post(b"{}", *[b"A: b"] * 40_000),
        post(b"{}", path=b"/v1/score?" + b"x" * 100_000),
        post(b"{}", path=b"/" + b"x/" * 50_000),
    ],
)
def test_too_many_bytes_of_headers_are_refused(wire: Wire, content: bytes) -> None:
    wire.send(content)
    answer = wire.answer()
    assert answer.status == 431 and answer.error == "the headers are larger than 65536 bytes"
    assert b"HTTP/1.1" not in wire.rest()


@pytest.mark.parametrize("start", [b"GET /", b"GET / HTTP/1.1\r\nA: ", b"GET / HTTP/1.1\r\nA"])
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


def test_thousands_of_headers_do_no_harm(wire: Wire, rows: Rows) -> None:
    body, score = rows[0]
    wire.send(post(body, *[b"A%d: b" % i for i in range(5000)]))
    assert wire.answer().scores == pytest.approx([score], abs=1e-6)


def test_a_header_may_come_byte_by_byte_and_a_body_chunk_by_chunk(wire: Wire, rows: Rows) -> None:
    body, score = rows[0]
    head, _, _ = chunked(b"").partition(b"0\r\n")
    for byte in head:
        wire.send(bytes([byte]))
    for byte in body:
        wire.send(b"1;extension=x\r\n%c\r\n" % byte)
    wire.send(b"0\r\nTrailer: x\r\n\r\n")
    assert wire.answer().scores == pytest.approx([score], abs=1e-6)


# Other protocols


@pytest.mark.parametrize("version", [b"1.0", b"0.9"])
def test_old_clients_are_answered_and_let_go(wire: Wire, rows: Rows, version: bytes) -> None:
    body, score = rows[0]
    wire.send(post(body).replace(b"HTTP/1.1", b"HTTP/" + version))
    answer = wire.answer()
    assert answer.scores == pytest.approx([score], abs=1e-6) and answer.headers["connection"] == "close"
    assert not wire.rest()


WEBSOCKET = (
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
HTTP2 = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")


@pytest.mark.parametrize("upgrade", [WEBSOCKET, HTTP2, (*HTTP2, b"Upgrade: x", b"upgrade: y")])
def test_an_upgrade_is_declined_and_the_request_answered_whole(wire: Wire, rows: Rows, upgrade: tuple[bytes]) -> None:
    (first, one), (second, two) = rows[:2]
    wire.send(post(first, *upgrade) + post(second, *upgrade))
    assert wire.answer().scores == pytest.approx([one], abs=1e-6)
    assert wire.answer().scores == pytest.approx([two], abs=1e-6)
    request = post(second, *upgrade)
    wire.send(request[: -len(second)])
    wire.send(second)
    assert wire.answer().scores == pytest.approx([two], abs=1e-6)
    wire.send(b"\r\n".join([b"GET /v1/score HTTP/1.1", *upgrade, b"", b""]))
    answer = wire.answer()
    assert answer.status == 405 and answer.error == "GET is not allowed at /v1/score, only POST"


def test_the_body_of_an_upgrade_is_no_request(wire: Wire) -> None:
    smuggled = b"GET /v1/models HTTP/1.1\r\n\r\n"
    request = post(smuggled, *HTTP2)
    wire.send(request[: -len(smuggled)])
    wire.send(smuggled)
    assert "invalid JSON" in wire.answer().error
    wire.send(b"GET /healthz HTTP/1.1\r\n\r\n")
    assert json.loads(wire.answer().body) == {"status": "alive"}


def test_many_upgrades_at_once_are_all_declined(wire: Wire) -> None:
    request = b"\r\n".join([b"GET /healthz HTTP/1.1", *WEBSOCKET, b"", b""])
    wire.send(request * (PIPELINED + 1))
    assert {wire.answer().status for _ in range(PIPELINED + 1)} == {200}


def test_head_is_answered_without_what_follows(wire: Wire, rows: Rows) -> None:
    body, score = rows[0]
    for path, status in ((b"/healthz", 405), (b"/v1/score", 405), (b"/nothing", 404)):
        wire.send(b"HEAD " + path + b" HTTP/1.1\r\n\r\n")
        answer = wire.answer(to_head=True)
        assert answer.status == status and int(answer.headers["content-length"])
        wire.send(post(body))
        assert wire.answer().scores == pytest.approx([score], abs=1e-6)


# Pipelining


def test_pipelined_requests_are_answered_in_order_each_with_its_own(wire: Wire, rows: Rows, criteo: ModelSpec) -> None:
    assert criteo.golden is not None
    batch = golden_batch(criteo, criteo.golden)
    wanted: list[tuple[bytes, Callable[[Answer], bool]]] = []
    for i, (body, score) in enumerate(rows):
        tensors = batch.dense[i].tobytes() + batch.ids[i].tobytes()

        def has_score(answer: Answer, score: float = score) -> bool:
            return answer.scores == pytest.approx([score], abs=1e-6)

        def has_binary(answer: Answer, score: float = score) -> bool:
            return bool(np.isclose(np.frombuffer(answer.body[-4:], "<f4"), score, atol=1e-6))

        wanted += [
            (post(body), has_score),
            (infer(tensors, 1), has_binary),
            (chunked(body), has_score),
            (post(b"{"), lambda answer: "invalid JSON" in answer.error),
            (post(body, path=b"/v1/models/other/score"), lambda answer: answer.status == 404),
            (b"GET /v1/score HTTP/1.1\r\n\r\n", lambda answer: answer.status == 405),
            (post(gzip.compress(body), b"Content-Encoding: gzip"), has_score),
            (b"GET /healthz HTTP/1.1\r\n\r\n", lambda answer: b"alive" in answer.body),
            (post(body[:-1] + b" " * 70_000 + b"}"), has_score),
        ]
    wire.send(b"".join(request for request, _ in wanted))
    for request, right in wanted:
        assert right(wire.answer()), request[:200]


def infer(tensors: bytes, rows: int) -> bytes:
    """A binary request for Criteo's features, answered in binary."""
    sizes = {"dense": rows * 13 * 4, "ids": rows * 26 * 8}
    header = json.dumps(
        {
            "inputs": [
                {"name": name, "datatype": datatype, "shape": [rows, width], "parameters": {"binary_data_size": size}}
                for (name, size), datatype, width in zip(sizes.items(), ("FP32", "INT64"), (13, 26), strict=True)
            ],
            "parameters": {"binary_data_output": True},
        }
    ).encode()
    length = b"Inference-Header-Content-Length: %d" % len(header)
    return post(header + tensors, length, path=b"/v2/models/criteo/infer")


@pytest.mark.parametrize(
    "bad",
    [
        b"garbage\r\n\r\n",
        post(b"{}", b"Content-Length: 3"),
        b"POST /v1/score HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /v1/score HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n",
        b"POST /v1/score HTTP/1.1\r\nA: " + b"x" * 100_000,
        b"CONNECT x:443 HTTP/1.1\r\n\r\n",
    ],
)
@pytest.mark.parametrize("before", [1, 3])
def test_what_is_broken_is_answered_after_the_good_before_it(wire: Wire, rows: Rows, before: int, bad: bytes) -> None:
    wire.send(b"".join(post(body) for body, _ in rows[:before]) + bad + post(rows[-1][0]))
    for _, score in rows[:before]:
        assert wire.answer().scores == pytest.approx([score], abs=1e-6)
    answer = wire.answer()
    assert answer.status in (400, 431) and answer.error
    assert not wire.rest()


def test_headers_behind_a_large_body_are_not_counted_with_it(wire: Wire, rows: Rows) -> None:
    body, score = rows[0]
    large = post(body[:-1] + b" " * 150_000 + b"}")
    wire.send(large + post(body)[:30])
    assert wire.answer().scores == pytest.approx([score], abs=1e-6)
    wire.send(post(body)[30:])
    assert wire.answer().scores == pytest.approx([score], abs=1e-6)


def test_slow_headers_behind_a_request_are_refused_after_it(wire: Wire, rows: Rows) -> None:
    body, score = rows[0]
    wire.send(post(body) + b"GET /")
    assert wire.answer().scores == pytest.approx([score], abs=1e-6)
    assert wire.answer().error == "the headers did not arrive within 1 s"
    assert not wire.rest()


def test_headers_that_the_server_does_not_read_yet_are_not_late(wire: Wire) -> None:
    slow = post(json.dumps({"features": {f"C{i}": ["68fd1e64"] * 1000 for i in range(1, 27)}}).encode())
    count = 0
    wire.send(slow * 5 + slow[:30])
    while count < 5:
        assert len(wire.answer().scores) == 1000
        count += 1
    wire.send(slow[30:])
    assert len(wire.answer().scores) == 1000


def test_more_requests_than_may_wait_are_refused_after_those_that_may(wire: Wire) -> None:
    wire.send(b"GET /healthz HTTP/1.1\r\n\r\n" * 5000)
    assert {wire.answer().status for _ in range(PIPELINED + 1)} == {200}
    answer = wire.answer()
    assert answer.status == 400 and answer.error == f"{PIPELINED} requests wait on this connection already"
    assert b"HTTP/1.1" not in wire.rest()


def flood(wire: Wire, limit: int) -> int:
    """Ask for many scores and take none until the server reads no more; returns the bytes that were sent."""
    request = post(json.dumps({"features": {"I1": list(range(1000))}}).encode())
    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    wire.socket.settimeout(0.5)
    sent = 0
    try:
        while sent < limit:
            wire.send(request)
            sent += len(request)
    except (TimeoutError, BrokenPipeError, ConnectionResetError):
        pass
    return sent


def test_a_client_that_takes_no_answers_does_not_fill_the_memory(hostile: Server, wire: Wire) -> None:
    before = peak_bytes(hostile)
    assert flood(wire, 50_000_000) < 50_000_000
    assert peak_bytes(hostile) - before < 30 << 20


def test_a_client_that_takes_no_answers_does_not_hold_up_the_end(criteo_artifact: Path) -> None:
    with running(criteo_artifact, "--read-timeout-s", str(READ_TIMEOUT)) as server:
        wire = Wire(server)
        assert flood(wire, 50_000_000) < 50_000_000
        server.process.terminate()
        assert server.process.wait(PATIENCE) == 0
        wire.close()


# Clients that leave


@pytest.mark.parametrize("sent", [0, 1, 30, 60, 200, None])
def test_half_closed_connections_end(wire: Wire, rows: Rows, sent: int | None) -> None:
    body, score = rows[0]
    wire.send(post(body)[:sent])
    wire.socket.shutdown(socket.SHUT_WR)
    # a client that shuts down its side looks like one that left, so the answer may not come, but no other does
    answer = wire.rest()
    if answer:
        assert sent is None
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["scores"] == pytest.approx([score], abs=1e-6)


@pytest.mark.parametrize("leave", [Wire.close, Wire.reset])
def test_clients_that_leave_do_no_harm(connect: Callable[[], Wire], rows: Rows, leave: Callable[[Wire], None]) -> None:
    body, _ = rows[0]
    many = json.dumps({"features": {"I1": list(range(1000))}}).encode()
    for content in (b"", b"POST", post(body)[:60], post(body)[:-5], post(body), post(many), post(body) * 20):
        for wire in [connect() for _ in range(10)]:
            wire.send(content)
            leave(wire)


def test_connections_that_are_left_open_do_not_stop_others(connect: Callable[[], Wire], rows: Rows) -> None:
    body, score = rows[0]
    starts = (b"", b"\r\n", b"POST /v1/sc", post(body)[:-1], post(b"{"))
    for i in range(400):
        connect().send(starts[i % len(starts)])
    late = connect()
    late.send(post(body))
    assert late.answer().scores == pytest.approx([score], abs=1e-6)


# Paths

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


# Inference


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


def test_what_inflates_to_much_does_not_stop_the_others(connect: Callable[[], Wire], rows: Rows) -> None:
    body, score = rows[0]
    deep = gzip.compress(b'{"features": {"I1": [' + b"[" * 1_000_000)
    wide = gzip.compress(b'{"features": {"I1": [' + b"0," * 900_000 + b"0]}}")
    wires = [connect() for _ in range(20)]
    for wire, content in zip(wires, [deep, wide] * 10, strict=True):
        wire.send(post(content, b"Content-Encoding: gzip"))
    other = connect()
    other.send(post(body))
    assert other.answer().scores == pytest.approx([score], abs=1e-6)
    assert [wire.answer().status for wire in wires] == [400, 413] * 10
