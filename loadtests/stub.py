"""A server with canned answers, which does nothing else: what a generator reaches against it is its ceiling.

    python -m thimble.loadtests.stub --like http://127.0.0.1:8000 --scenario batch

describes itself as that server does, and answers the requests that the load test prepares for it.
"""

import argparse
import asyncio
import socket
import sys
from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import orjson
import uvloop

from thimble.loadtests import options as given
from thimble.loadtests.traffic.requests import Prepared, prepare
from thimble.loadtests.traffic.served import MODELS, LoadError, Served, golden_path, served

SCORE = 0.5
TAIL = 256

Pages = dict[str, bytes]
Reply = Callable[[str, bytes], bytes]


def main() -> None:
    """Exit status 1, with the reason, when there is no such server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--like", required=True, help="URL of the server to imitate")
    given.add_traffic(parser)
    options = parser.parse_args()
    try:
        traffic = given.traffic(options)
        model, entry = served(options.like, traffic.model)
        golden = {"features": {name: [value] for name, value in model.known.row.items()}, "scores": [model.known.score]}
        pages = {MODELS: orjson.dumps([entry]), golden_path(model.name): orjson.dumps(golden)}
        reply = canned(pages, prepare(traffic, model), model)
    except LoadError as error:
        sys.exit(str(error))
    uvloop.run(serve(lambda: Connection(reply)))


async def serve(connection: Callable[[], asyncio.Protocol]) -> None:
    """On a free port, which it prints."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    server = await asyncio.get_running_loop().create_server(connection, sock=listener)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    await server.serve_forever()


def canned(pages: Pages, requests: Sequence[Prepared], model: Served) -> Reply:
    """Answers for these requests, which are recognized by their length and their end."""
    answers = {_key(request.body): ok(_scores(request, model)) for request in requests}
    documents = {path: ok(page) for path, page in pages.items()}

    def reply(path: str, body: bytes) -> bytes:
        return documents.get(path) or answers[_key(body)]

    return reply


def ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def _key(body: bytes) -> tuple[int, bytes]:
    return len(body), body[-TAIL:]


def _scores(request: Prepared, model: Served) -> bytes:
    score = SCORE if request.expected is None else request.expected
    if not request.binary:
        scores: list[float] | dict[str, list[float]] = [score] * request.rows
        if len(model.outputs) > 1:
            scores = dict.fromkeys(model.outputs, [score] * request.rows)
        return orjson.dumps({"model": model.name, "version": model.version, "scores": scores})
    tensor = np.full(request.rows, score, "<f4").tobytes()
    outputs = [{"name": name, "parameters": {"binary_data_size": len(tensor)}} for name in model.outputs]
    return orjson.dumps({"outputs": outputs}) + tensor * len(outputs)


class Connection(asyncio.Protocol):
    """One request at a time, as the generator sends them."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0")
        if len(body) >= int(length.partition(b":")[2]):
            self._received = b""
            self.answer(self._reply(head.split(b" ", 2)[1].decode(), body))

    def answer(self, answer: bytes) -> None:
        self.transport.write(answer)


if __name__ == "__main__":
    main()
