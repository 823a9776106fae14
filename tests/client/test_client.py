"""The client against real servers, and against one that answers as it is told to."""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic

import httpx
import numpy as np
import pytest

from testing.servers import Server
from thimble.client import AsyncClient, Client, ThimbleError
from thimble.client.columns import Features
from thimble.models.features import batch_from_values
from thimble.models.spec import ModelSpec


def golden(spec: ModelSpec) -> tuple[Features, list[float]]:
    assert spec.golden is not None
    return spec.golden.features, spec.golden.by_output["score"]


def test_both_clients_score_in_both_forms(server: Server, criteo: ModelSpec) -> None:
    features, expected = golden(criteo)
    batch = batch_from_values(criteo, [criteo.golden.features[name] for name in criteo.feature_names])  # type: ignore[union-attr]
    with Client(server.url) as client:
        found = [client.score(features), client.score_arrays(*batch)]

    async def asynchronously() -> None:
        async with AsyncClient(server.url, model="criteo", version=1) as client:
            found.extend(await asyncio.gather(client.score(features, timeout=20), client.score_arrays(*batch)))

    asyncio.run(asynchronously())
    for scores in found:
        assert scores.dtype == np.float32
        np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_a_refusal_is_an_error_with_the_servers_sentence(server: Server, criteo: ModelSpec) -> None:
    with Client(server.url) as client, pytest.raises(ThimbleError, match="C1: 'xyz' is not a hexadecimal") as caught:
        client.score({"C1": "xyz"})
    assert caught.value.status == 400
    dense, ids = np.zeros((1, 13), np.float32), np.full((1, 26), -1)
    with Client(server.url, model="criteo") as client, pytest.raises(ThimbleError, match="ids: C1 is -1 in row 0"):
        client.score_arrays(dense, ids)
    with Client(server.url, model="other") as client, pytest.raises(ThimbleError, match="no model 'other'"):
        client.score({})


def test_a_timeout_that_is_too_short_is_refused_by_the_server(server: Server, criteo: ModelSpec) -> None:
    dense, ids = np.zeros((1000, 13), np.float32), np.zeros((1000, 26), np.int64)
    with Client(server.url, patience=0) as client:
        with pytest.raises(ThimbleError, match=r"1000 rows would take .* more than the timeout of") as caught:
            client.score_arrays(dense, ids, timeout=1e-6)
        assert caught.value.status == 504
        assert len(client.score_arrays(dense, ids, timeout=30)) == 1000


def test_with_several_models_one_must_be_named_for_arrays(small_server: Server) -> None:
    several = pytest.raises(ThimbleError, match="name one: one, two")
    with Client(small_server.url) as client, several:
        client.score_arrays(np.zeros((1, 3), np.float32), np.zeros((1, 4), np.int64))
    with pytest.raises(ValueError, match="name the model"):
        Client("http://127.0.0.1:1", version=1)


class Told(BaseHTTPRequestHandler):
    """Answers with the statuses it is told, then with a score."""

    protocol_version = "HTTP/1.1"
    statuses: list[int]
    asked: list[float]
    retry_after = "1"
    error = b'{"error": "busy"}'

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.asked.append(monotonic())
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 0:  # hang up
            self.close_connection = True
            return
        body = b'{"scores": [0.5]}' if status == 200 else self.error
        self.send_response(status)
        if status in (429, 503) and self.retry_after:
            self.send_header("Retry-After", self.retry_after)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def told() -> Iterator[tuple[str, type[Told]]]:
    handler = type("Handler", (Told,), {"statuses": [], "asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", handler
        server.shutdown()
        thread.join()


def test_it_comes_again_when_a_busy_server_says(told: tuple[str, type[Told]]) -> None:
    url, handler = told
    handler.statuses = [429, 503]
    with Client(url) as client:
        assert client.score({}).tolist() == [0.5]
    assert len(handler.asked) == 3
    assert all(later - earlier >= 1 for earlier, later in zip(handler.asked, handler.asked[1:], strict=False))


def test_it_comes_again_soon_where_nothing_is_said_and_when_a_connection_breaks(told: tuple[str, type[Told]]) -> None:
    url, handler = told
    handler.statuses, handler.retry_after = [429, 0], ""
    with Client(url) as client:
        assert client.score({}).tolist() == [0.5]
    assert len(handler.asked) == 3


def test_the_client_for_asyncio_comes_again_too(told: tuple[str, type[Told]]) -> None:
    url, handler = told
    handler.statuses, handler.retry_after = [429, 0], ""

    async def ask() -> list[float]:
        async with AsyncClient(url) as client:
            scores: list[float] = (await client.score({})).tolist()
            return scores

    assert asyncio.run(ask()) == [0.5]
    assert len(handler.asked) == 3


@pytest.mark.parametrize("error", [b"Internal Server Error", b"<html>502 Bad Gateway</html>", b"[]"])
def test_it_comes_again_when_a_proxy_has_lost_the_server(told: tuple[str, type[Told]], error: bytes) -> None:
    url, handler = told
    handler.statuses, handler.error = [500, 502], error
    with Client(url) as client:
        assert client.score({}).tolist() == [0.5]
    assert len(handler.asked) == 3
    handler.statuses = [500] * 99
    with Client(url, patience=0.2) as client, pytest.raises(ThimbleError) as caught:
        client.score({})
    assert error.decode() in caught.value.message


def test_it_comes_again_when_a_proxy_of_ours_has_lost_the_server(told: tuple[str, type[Told]]) -> None:
    url, handler = told
    handler.statuses, handler.error = [502], b'{"error": "no replica answered"}'
    with Client(url) as client:
        assert client.score({}).tolist() == [0.5]


def test_patience_ends(told: tuple[str, type[Told]]) -> None:
    url, handler = told
    handler.statuses, handler.retry_after = [429] * 9, "7"
    with Client(url, patience=5) as client, pytest.raises(ThimbleError, match="busy") as caught:
        client.score({})
    assert caught.value.status == 429 and len(handler.asked) == 1


@pytest.mark.parametrize("retry_after", ["\xb2", "soon", "-1", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_time_that_is_no_number_of_seconds_is_as_good_as_none(told: tuple[str, type[Told]], retry_after: str) -> None:
    url, handler = told
    handler.statuses, handler.retry_after = [429], retry_after
    with Client(url) as client:
        assert client.score({}).tolist() == [0.5]


def test_what_will_not_change_is_not_asked_again(told: tuple[str, type[Told]]) -> None:
    url, handler = told
    handler.statuses = [504, 400, 500]
    with Client(url) as client:
        for status in (504, 400, 500):
            with pytest.raises(ThimbleError) as caught:
                client.score({})
            assert caught.value.status == status
    assert len(handler.asked) == 3


def test_a_server_that_is_not_there_is_a_transport_error() -> None:
    with Client("http://127.0.0.1:9", patience=0.2) as client, pytest.raises(httpx.TransportError):
        client.score({})
