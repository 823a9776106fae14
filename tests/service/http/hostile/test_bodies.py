"""Bodies that are not what they say, or become far more than they are."""

import gzip
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from testing.servers import Server
from tests.service.http.hostile.wire import PATIENCE, Rows, Wire, peak_bytes, post


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
    assert len(content) < 4 << 20
    before = peak_bytes(hostile)
    with ThreadPoolExecutor(8) as pool:
        url = hostile.url + path
        answers = list(
            pool.map(lambda _: httpx.post(url, content=content, headers=headers, timeout=PATIENCE), range(16))
        )
    assert {answer.status_code for answer in answers} == {413}
    assert all("larger than the limit of 4194304 bytes when decompressed" in answer.text for answer in answers)
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
        (GOOD, "", 400, "invalid JSON"),
    ],
)
def test_what_is_not_compressed_as_it_says_is_refused(
    hostile: Server, content: bytes, encoding: str, status: int, culprit: str
) -> None:
    headers = {"Content-Encoding": encoding}
    answer = httpx.post(f"{hostile.url}/v1/score", content=content, headers=headers, timeout=PATIENCE)
    assert answer.status_code == status and culprit in answer.json()["error"] and len(answer.text) < 200


def test_what_inflates_to_much_does_not_stop_the_others(connect: Callable[[], Wire], rows: Rows) -> None:
    body, score = rows[0]
    deep = gzip.compress(b'{"features": {"I1": [' + b"[" * 1_000_000)
    wide = gzip.compress(b'{"features": {"I1": [' + b"0," * 300_000 + b"0]}}")
    wires = [connect() for _ in range(20)]
    for wire, content in zip(wires, [deep, wide] * 10, strict=True):
        wire.send(post(content, b"Content-Encoding: gzip"))
    other = connect()
    other.send(post(body))
    assert other.answer().scores == pytest.approx([score], abs=1e-6)
    assert [wire.answer().status for wire in wires] == [413] * 20
