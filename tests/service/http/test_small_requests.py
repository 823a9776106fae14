"""A scoring request is answered alike whichever door it takes: past the application or, come in parts, through it."""

import asyncio
import gzip
import json
import re
import shutil
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from testing.artifacts import slow_down, spoil
from testing.messages import post
from testing.servers import Server, running
from thimble.models.spec import ModelSpec
from thimble.service.engine.engine import golden_batch
from thimble.service.http.access import AccessLog
from thimble.service.http.keys import Keys
from thimble.service.http.scoring import Scoring
from thimble.service.http.small_requests import MOST_BYTES, SmallRequests
from thimble.service.releases.registry import Registry
from thimble.service.settings import Settings

PATIENCE = 30
KEY = "a-key-for-scoring-rows"
TSV = {"Content-Type": "text/tab-separated-values"}
ROW = b'{"features": {"I1": 3, "C1": "68fd1e64", "C5": null}}'
MANY = b'{"features": {"I1": [%s]}}' % b",".join([b"1"] * 500)
PATHS = ["/v1/score", "/v1/models/criteo/score", "/v1/models/criteo/versions/1/score?x=%20"]
Ask = Callable[[Server, bytes], bytes]


class Wire:
    """A connection that sends any bytes and returns all of what comes."""

    def __init__(self, server: Server) -> None:
        url = httpx.URL(server.url)
        self.socket = socket.create_connection((url.host, url.port), timeout=PATIENCE)
        self._file = self.socket.makefile("rb")

    def send(self, content: bytes) -> None:
        self.socket.sendall(content)

    def answer(self) -> bytes:
        """Status line, headers and body as they came, without the date."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self._file.readline()
            assert line, "the connection ended without an answer"
            head += line
        length = re.search(rb"content-length: (\d+)", head)
        body = self._file.read(int(length[1])) if length else b""
        return re.sub(rb"date: .*\r\n", b"", head) + body

    def ended(self) -> bool:
        """Whether the server closes, waited for."""
        return self._file.read() == b""

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.socket.close()


def whole(server: Server, request: bytes) -> bytes:
    with Wire(server) as wire:
        wire.send(request)
        return wire.answer() + (b"closed" if b"connection: close" in request.lower() and wire.ended() else b"")


def when_asked(server: Server, request: bytes) -> bytes:
    """The body comes once the server asks for it, unless it answers without."""
    head, _, body = request.partition(b"\r\n\r\n")
    with Wire(server) as wire:
        wire.send(head + b"\r\nExpect: 100-continue\r\n\r\n")
        answer = wire.answer()
        if not answer.startswith(b"HTTP/1.1 100 "):
            return answer
        wire.send(body)
        return wire.answer()


def in_chunks(request: bytes) -> bytes:
    """The same, without telling its length at first."""
    head, _, body = request.partition(b"\r\n\r\n")
    head = re.sub(rb"\r\nContent-Length: \d+", b"\r\nTransfer-Encoding: chunked", head)
    chunk = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
    return head + b"\r\n\r\n" + chunk + b"0\r\n\r\n"


def chunked(server: Server, request: bytes) -> bytes:
    return whole(server, in_chunks(request))


def after_another(server: Server, request: bytes) -> bytes:
    with Wire(server) as wire:
        wire.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" + request)
        assert wire.answer().endswith(b'{"status":"alive"}')
        return wire.answer()


def request(path: str, body: bytes, /, **headers: str) -> bytes:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return post(path, body, {"X-Request-Id": "the-same", **named}).wire


@pytest.fixture(scope="module")
def guarded(criteo_artifact: Path) -> Iterator[Server]:
    with running(criteo_artifact, env={"THIMBLE_API_KEYS": KEY}) as server:
        yield server


def inference(spec: ModelSpec, binary: bool) -> bytes:
    assert spec.golden is not None
    dense, ids = (array[:1] for array in golden_batch(spec, spec.golden))
    inputs = [
        {"name": "dense", "datatype": "FP32", "shape": [*dense.shape], "data": np.nan_to_num(dense).ravel().tolist()},
        {"name": "ids", "datatype": "INT64", "shape": [*ids.shape], "data": ids.ravel().tolist()},
    ]
    return json.dumps({"id": "7", "inputs": inputs, "parameters": {"binary_data_output": binary}}).encode()


def binary_inference(rows: int, datatype: str, length: int | str | None) -> tuple[bytes, dict[str, str]]:
    """Rows as binary tensors, and what is said of where they begin; None: the truth."""
    dense = np.arange(13 * rows, dtype="<f4").tobytes()
    if datatype == "INT64":
        ids = np.arange(26 * rows, dtype="<i8").tobytes()
    else:
        ids = b"".join(struct.pack("<I8s", 8, b"%08x" % number) for number in range(26 * rows))
    inputs = [
        {
            "name": name,
            "datatype": kind,
            "shape": [rows, width],
            "parameters": {"binary_data_size": len(data)},
        }
        for name, kind, width, data in [("dense", "FP32", 13, dense), ("ids", datatype, 26, ids)]
    ]
    text = json.dumps({"inputs": inputs}).encode()
    said = str(len(text) if length is None else length)
    return text + dense + ids, {"Inference_Header_Content_Length": said}


@pytest.mark.parametrize("way", [when_asked, chunked, after_another])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (ROW, {}, 200),
        (ROW, {"Content_Type": "application/json; charset=utf-8", "Timeout_Ms": "20000"}, 200),
        (ROW, {"Routing_Key": "a", "Accept_Encoding": "gzip"}, 200),
        (ROW, {"Content_Type": "application/x-www-form-urlencoded"}, 415),
        (ROW, {"X_Forwarded_For": "10.1.2.3"}, 200),
        (MANY, {}, 200),
        (MANY, {"Accept_Encoding": "deflate, gzip"}, 200),
        (MANY, {"Accept_Encoding": "deflate"}, 200),
        (b"\t".join([b"1"] * 13 + [b"68fd1e64"] * 26), TSV, 200),
        (b"1\t2", TSV, 400),
        (gzip.compress(ROW), {"Content_Encoding": "gzip"}, 200),
        (ROW, {"Content_Encoding": "br"}, 415),
        (b"", {}, 400),
        (b"{", {}, 400),
        (b'{"features": {"I99": 1}}', {}, 400),
        (b'{"features": {"C1": true}}', {}, 400),
        (b'{"features": {"I1": true}}', {}, 200),
        (b'{"features": {"I1": 1e39}}', {}, 400),
        (b'{"features": {"C1": "xyz"}}', {}, 400),
        (b'{"features": {"C1": "\\ud800"}}', {}, 400),
        (b'{"features": {"C1": 0}}', {}, 400),
        (b'{"features": {"C1": [], "I1": [1]}}', {}, 400),
        (b'{"features": {"I1": [%s]}}' % b",".join([b"1"] * 1001), {}, 413),
        (ROW, {"Timeout_Ms": "soon"}, 400),
        (ROW, {"Connection": "close"}, 200),
    ],
)
def test_what_comes_whole_is_answered_as_what_does_not(
    server: Server, way: Ask, path: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    content = request(path, body, **headers)
    direct = whole(server, content)
    assert direct.startswith(b"HTTP/1.1 %d " % status) and b"\r\nx-request-id: the-same\r\n" in direct
    assert way(server, content).removesuffix(b"closed") == direct.removesuffix(b"closed")


@pytest.mark.parametrize("way", [when_asked, chunked, after_another])
@pytest.mark.parametrize("binary", [False, True])
def test_inference_is_answered_alike(server: Server, criteo: ModelSpec, way: Ask, binary: bool) -> None:
    for path, body in [
        ("/v2/models/criteo/infer", inference(criteo, binary)),
        ("/v2/models/criteo/infer", b'{"inputs": []}'),
        ("/v2/models/criteo/versions/7/infer", inference(criteo, binary)),
    ]:
        content = request(path, body)
        assert way(server, content) == whole(server, content)


@pytest.mark.parametrize("way", [when_asked, chunked, after_another])
@pytest.mark.parametrize("rows", [1, 200])
@pytest.mark.parametrize("datatype", ["INT64", "BYTES"])
@pytest.mark.parametrize(
    ("length", "headers", "status"),
    [(None, {}, 200), (None, {"Accept_Encoding": "gzip"}, 200), (-1, {}, 400), (10**6, {}, 400), ("many", {}, 400)],
)
def test_binary_tensors_are_answered_alike(
    server: Server, way: Ask, rows: int, datatype: str, length: int | str | None, headers: dict[str, str], status: int
) -> None:
    body, named = binary_inference(rows, datatype, length)
    content = request("/v2/models/criteo/infer", body, **named, **headers)
    direct = whole(server, content)
    assert direct.startswith(b"HTTP/1.1 %d " % status)
    assert way(server, content) == direct


@pytest.mark.parametrize("way", [when_asked, chunked, after_another])
def test_what_takes_longer_than_it_may_is_refused_alike(criteo_artifact: Path, tmp_path: Path, way: Ask) -> None:
    folder = tmp_path / "slow/1"
    shutil.copytree(criteo_artifact.parent, folder)
    slow_down(folder / "model.onnx")
    content = request("/v1/score", ROW, Timeout_Ms="1")
    with running(tmp_path) as server:
        direct, other = (re.sub(rb"[\d.]+ ms", b"some ms", it) for it in (whole(server, content), way(server, content)))
    assert direct.startswith(b"HTTP/1.1 504 ") and b"1 row would take some ms" in direct and other == direct


@pytest.mark.parametrize("form", [lambda content: content, in_chunks])
def test_what_finds_no_room_is_refused_alike(criteo_artifact: Path, form: Callable[[bytes], bytes]) -> None:
    """Two requests are there when the server looks, and one row may wait."""
    content = request("/v1/score", ROW)
    with (
        running(criteo_artifact, "--max-queued-rows", "1") as server,
        Wire(server) as first,
        Wire(server) as second,
    ):
        for wire in (first, second):
            wire.send(content)
            wire.answer()
        server.process.send_signal(signal.SIGSTOP)
        first.send(content)
        second.send(form(content))
        server.process.send_signal(signal.SIGCONT)
        scored, refused = sorted((first.answer(), second.answer()))
    assert scored.startswith(b"HTTP/1.1 200 ") and refused.startswith(b"HTTP/1.1 429 ")
    assert b"\r\nretry-after: 1\r\n" in refused
    assert refused.endswith(b'{"error":"1 row is waiting, 1 or more are too many"}')


@pytest.mark.parametrize("way", [whole, when_asked, chunked, after_another])
def test_a_canary_that_gives_no_scores_is_not_noticed_either_way(
    small_artifact: Path, tmp_path: Path, way: Ask
) -> None:
    for version in (1, 2):
        shutil.copytree(small_artifact.parent, tmp_path / f"small/{version}")
    spoil(tmp_path / "small/2/model.onnx", above=1e6)
    (tmp_path / "small/release.json").write_text('{"live": 1, "canary": {"version": 2, "weight": 0.999999}}')
    with running(tmp_path) as server:
        good, bad = (request("/v1/score", b'{"features": {"d0": %d}}' % number) for number in (1, 2 * 10**6))
        assert b'"version":2' in way(server, good)
        assert b'"version":1' in way(server, bad)


@pytest.mark.parametrize("way", [when_asked, chunked, after_another])
def test_workers_answer_alike(criteo_artifact: Path, way: Ask) -> None:
    content = request("/v1/score", ROW)
    with running(criteo_artifact, "--workers", "2") as server:
        found = {ask(server, content) for ask in (whole, way) for _ in range(8)}  # connections to both of them
    assert len(found) == 1


@pytest.mark.parametrize("way", [when_asked, chunked, after_another])
@pytest.mark.parametrize("path", ["/v1/score", "/v1/models/criteo/score", "/v1/models/none/score"])
@pytest.mark.parametrize("authorization", [None, f"Bearer {KEY}", f"Bearer {KEY}x", "Basic eDp5"])
def test_keys_are_asked_for_alike(guarded: Server, way: Ask, path: str, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    content = request(path, ROW, **headers)
    direct = whole(guarded, content)
    assert direct.startswith(b"HTTP/1.1 200 ") == (authorization == f"Bearer {KEY}" and "none" not in path)
    assert way(guarded, content) == direct


def test_answers_come_in_order_whichever_way_they_were_found(server: Server) -> None:
    rows = [b'{"features": {"I1": %d}}' % number for number in range(20)]
    alone = [whole(server, request("/v1/score", row)) for row in rows]
    assert len(set(alone)) > 10
    between = [b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", request("/v1/score", b"{"), request("/nothing", ROW)]
    content = b"".join(request("/v1/score", row) + between[i % 3] for i, row in enumerate(rows))
    with Wire(server) as wire:
        wire.send(content)
        answers = [wire.answer() for _ in range(2 * len(rows))]
    assert answers[::2] == alone
    statuses = [b"HTTP/1.1 200 ", b"HTTP/1.1 400 ", b"HTTP/1.1 404 "]
    assert all(answer.startswith(statuses[i % 3]) for i, answer in enumerate(answers[1::2]))


def test_it_does_not_matter_where_a_request_is_cut(server: Server) -> None:
    content = request("/v1/score", ROW)
    expected = whole(server, content)
    with Wire(server) as wire:
        wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(1, len(content)):
            wire.send(content[:at])
            wire.send(content[at:])
            assert wire.answer() == expected


def test_what_follows_a_request_that_is_no_request_is_told_after_its_answer(server: Server) -> None:
    content = request("/v1/score", ROW)
    expected = whole(server, content)
    with Wire(server) as wire:
        wire.send(content + b"nonsense\r\n\r\n")
        assert wire.answer() == expected
        assert wire.answer().startswith(b"HTTP/1.1 400 ") and wire.ended()


def test_an_old_client_is_told_that_the_connection_is_closed(server: Server) -> None:
    content = request("/v1/score", ROW, Connection="keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    with Wire(server) as wire:
        wire.send(content)
        assert b"\r\nconnection: close\r\n" in wire.answer() and wire.ended()


def test_who_leaves_before_the_answer_is_noted_and_not_scored(criteo_artifact: Path) -> None:
    with running(criteo_artifact) as server:
        _ = server.url
        with Wire(server) as wire:
            wire.send(request("/v1/score", ROW))
            wire.answer()
            server.process.send_signal(signal.SIGSTOP)
            wire.send(request("/v1/score", ROW))
        server.process.send_signal(signal.SIGCONT)
        server.wait_for_line(r"POST /v1/score 499")
        metrics = httpx.get(f"{server.url}/metrics").text
    assert 'thimble_batch_rows_sum{model="criteo",version="1"} 1.0' in metrics
    assert 'thimble_request_seconds_count{model="criteo",status="499",version="1"} 1.0' in metrics


def test_a_server_that_drains_asks_to_come_no_more(criteo_artifact: Path) -> None:
    content = request("/v1/score", ROW)
    with running(criteo_artifact, env={"THIMBLE_DRAIN_S": "30"}) as server, Wire(server) as wire:
        wire.send(content)
        assert b"connection: close" not in wire.answer()
        server.process.terminate()
        while b"\r\nconnection: close\r\n" not in (answer := whole(server, content)):
            assert answer.startswith(b"HTTP/1.1 200 ")
        assert when_asked(server, content) == answer
        wire.send(content)
        assert wire.answer() == answer and wire.ended()
        server.process.terminate()


def test_both_ways_are_counted_and_logged_alike(criteo_artifact: Path) -> None:
    requests = [
        request("/v1/score", ROW, Traceparent=f"00-{'a' * 32}-{'b' * 16}-01"),
        request("/v1/models/criteo/score?secret", ROW, X_Forwarded_For="10.1.2.3, 127.0.0.1"),
        request("/v1/score", ROW, X_Forwarded_For=""),
        request("/v1/score", b"{"),
    ]
    with running(criteo_artifact, "--log-format", "json", "--log-probes") as server:
        for way in (whole, chunked):
            for content in requests:
                way(server, content)
        metrics = httpx.get(f"{server.url}/metrics").text
        server.wait_for_line("/metrics")
        lines = [json.loads(line) for line in server.lines if "/score" in line]
    for line in lines:
        del line["time"], line["ms"], line["message"]
    assert lines[:4] == lines[4:]
    assert {"status": 200, "rows": 1, "request_id": "the-same", "trace_id": "a" * 32}.items() <= lines[0].items()
    assert [line["client"] for line in lines[:4]] == ["127.0.0.1", "10.1.2.3", "127.0.0.1", "127.0.0.1"]
    for status, count in ((200, 6), (400, 2)):
        assert f'thimble_request_seconds_count{{model="criteo",status="{status}",version="1"}} {count}.0' in metrics


@pytest.mark.parametrize(
    ("path", "headers", "taken"),
    [
        ("/v1/score", {}, True),
        ("/v1/models/small/versions/1/score", {}, True),
        ("/v2/models/small/infer", {}, True),
        ("/v1/models/%73mall/score", {}, False),
        ("/v1/models/none/score", {}, False),
        ("/healthz", {}, False),
        ("/v1/score", {b"content-length": b"%d" % MOST_BYTES}, True),
        ("/v1/score", {b"content-length": b"%d" % (MOST_BYTES + 1)}, False),
        ("/v1/score", {b"content-encoding": b"gzip"}, False),
    ],
)
def test_what_is_small_and_plain_needs_no_application(
    small_artifact: Path, path: str, headers: dict[bytes, bytes], taken: bool
) -> None:
    async def takes() -> bool:
        settings = Settings(repository=small_artifact)
        scoring = Scoring((await Registry.open(settings)).catalogue, settings, Keys(settings), AccessLog(probes=False))
        small_requests = SmallRequests(scoring, tracing=False, cross_origin=False)
        assert small_requests(path, {b"host": b"x"}, None) is None  # its length is not known
        return small_requests(path, {b"content-length": b"100", **headers}, None) is not None

    assert asyncio.run(takes()) is taken
