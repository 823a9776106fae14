"""Connections over which anything can be sent."""

import json
import re
import select
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from testing.servers import Server

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
        self._server = server
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

    @contextmanager
    def another(self) -> Iterator["Wire"]:
        """Another connection to the same server."""
        wire = Wire(self._server)
        try:
            yield wire
        finally:
            wire.close()


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
