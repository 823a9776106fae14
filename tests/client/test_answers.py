"""What the client makes of answers that no server of Thimble gives."""

import asyncio
import gzip
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import numpy as np
import pytest

from thimble.client import AsyncClient, Client, ThimbleError
from thimble.client.encoding import HEADER_LENGTH

JSON = {"Content-Type": "application/json"}
HTML = {"Content-Type": "text/html; charset=utf-8"}
GZIP = {**JSON, "Content-Encoding": "gzip"}


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Stranger(NamedTuple):
    """A server of something else, which gives everybody the `answer` that it is told."""

    url: str
    tell: Callable[[Answer], None]
    asked: list[str]


@pytest.fixture(scope="module")
def stranger() -> Iterator[Stranger]:
    asked: list[str] = []
    answers: list[Answer] = []

    class Told(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.rfile.read(int(self.headers.get("content-length", 0)))
            status, headers, body = answers[-1]
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Told) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Stranger(f"http://127.0.0.1:{server.server_port}", answers.append, asked)
        finally:
            server.shutdown()
            thread.join()


def errors(url: str) -> list[ThimbleError]:
    """What both clients raise for two rows."""
    found = []
    with Client(url) as client, pytest.raises(ThimbleError) as caught:
        client.score({"x": [1, 2]})
    found.append(caught.value)

    async def ask() -> None:
        async with AsyncClient(url) as client:
            await client.score({"x": [1, 2]})

    with pytest.raises(ThimbleError) as caught:
        asyncio.run(ask())
    found.append(caught.value)
    return found


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer(200, HTML, b"<h1>Log in</h1>"), "scores of 2 rows, but text/html; charset=utf-8: '<h1>Log in</h1>'"),
        (Answer(200, JSON, b'{"scores": [0.5]}'), "scores of 2 rows, but application/json: '{\"scores\": [0.5]}'"),
        (Answer(200, JSON, b'{"scores": [0.5, 0.5, 0.5]}'), "scores of 2 rows, but"),
        (Answer(200, JSON, b'{"scores": [0.5, null]}'), "scores of 2 rows, but"),
        (Answer(200, JSON, b'{"scores": ["0.5", "0.5"]}'), "scores of 2 rows, but"),
        (Answer(200, JSON, b'{"scores": [[0.5], [0.5, 1]]}'), "scores of 2 rows, but"),
        (Answer(200, JSON, b'{"scores": [0.5, 1e300]}'), "scores of 2 rows, but"),
        (Answer(200, JSON, b'{"scores": [true, false]}'), "scores of 2 rows, but"),
        (Answer(200, JSON, b'{"scores": 0.5}'), "scores of 2 rows, but"),
        (Answer(200, JSON, b'{"scores": [0.5, 0.'), "scores of 2 rows, but"),
        (Answer(200, JSON, b'{"predictions": [0.5, 0.5]}'), "scores of 2 rows, but"),
        (Answer(200, JSON, b"[0.5, 0.5]"), "scores of 2 rows, but"),
        (Answer(200, JSON, b"null"), "scores of 2 rows, but"),
        (Answer(200, {}, b""), "scores of 2 rows, but an empty body"),
        (Answer(200, {HEADER_LENGTH: "x"}, bytes(8)), "scores of 2 rows, but no content type: "),
        (Answer(200, {HEADER_LENGTH: "-8"}, bytes(8)), "scores of 2 rows, but"),
        (Answer(200, {HEADER_LENGTH: "9"}, bytes(8)), "scores of 2 rows, but"),
        (Answer(200, {HEADER_LENGTH: "1"}, bytes(8)), "scores of 2 rows, but"),
        (Answer(200, {HEADER_LENGTH: "4"}, bytes(8)), "scores of 2 rows, but"),
        (Answer(200, GZIP, b"no gzip"), "an answer that cannot be decompressed"),
        (Answer(200, GZIP, gzip.compress(b'{"scores": [0.5, 0.5]}')[:-12]), "scores of 2 rows, but"),
        (Answer(201, JSON, b'{"scores": [0.5, 0.5]}'), "no answer of a Thimble server, but application/json: "),
        (Answer(301, {"Location": "https://h/"}, b""), "no answer of a Thimble server, but a redirect to 'https://h/'"),
        (Answer(400, JSON, b'{"error": {"code": 3}}'), 'application/json: \'{"error": {"code": 3}}\''),
        (Answer(401, HTML, b"who?"), "no answer of a Thimble server, but text/html; charset=utf-8: 'who?'"),
        (Answer(404, {}, b""), "no answer of a Thimble server, but an empty body"),
        (Answer(404, HTML, b"\xff" * 10_000), "\ufffd'"),
        (Answer(405, JSON, b'{"detail": "Method Not Allowed"}'), "Method Not Allowed"),
        (Answer(500, JSON, b'{"error": "broken"}'), "broken"),
        (Answer(501, HTML, b"what?"), "what?"),
        (Answer(505, {}, b""), "an empty body"),
    ],
)
def test_the_answer_of_another_service_is_an_error_that_says_what_came(
    stranger: Stranger, answer: Answer, message: str
) -> None:
    stranger.tell(answer)
    stranger.asked.clear()
    for error in errors(stranger.url):
        assert error.status == answer.status
        assert message in error.message and len(error.message) < 300
    assert stranger.asked == ["/v1/score"] * 2  # each client once: asking again would change nothing


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer(200, HTML, b"<html>"), "no answer with the models that are served, but text/html"),
        (Answer(200, JSON, b'{"models": []}'), "no answer with the models that are served, but application/json"),
        (Answer(200, JSON, b"[1]"), "no answer with the models that are served"),
        (Answer(200, JSON, b"[]"), "no model is served"),
        (Answer(404, HTML, b"nothing"), "no answer of a Thimble server, but text/html"),
    ],
)
def test_so_is_one_to_the_question_which_models_there_are(stranger: Stranger, answer: Answer, message: str) -> None:
    stranger.tell(answer)
    with Client(stranger.url) as client, pytest.raises(ThimbleError, match=message):
        client.score_arrays(np.zeros((1, 2)), np.zeros((1, 2), int))
