"""The status and the body of HTTP/1.1 answers, and no more of them."""

from typing import NamedTuple


class Answer(NamedTuple):
    """A whole answer and where in the bytes it ends."""

    status: int
    body: bytes
    end: int
    closes: bool


def parse(data: bytes, at_end: bool = False) -> Answer | None:
    """The answer at the start of `data`, None while bytes are missing. `at_end`: no more bytes will come."""
    head_end = data.find(b"\r\n\r\n") + 4
    if head_end < 4:
        return None
    head = data[:head_end].lower()
    status = int(head[9:12])
    if status < 200:  # informational: the answer proper follows
        rest = parse(data[head_end:], at_end)
        return rest and rest._replace(end=rest.end + head_end)
    closes = b"\r\nconnection: close\r\n" in head or head.startswith(b"http/1.0")
    if (length := _header(head, b"\r\ncontent-length:")) is not None:
        end = head_end + int(length)
        return Answer(status, data[head_end:end], end, closes) if len(data) >= end else None
    if _header(head, b"\r\ntransfer-encoding:") == b"chunked":
        return _parse_chunks(data, head_end, status, closes)
    if status in (204, 304):
        return Answer(status, b"", head_end, closes)
    return Answer(status, data[head_end:], len(data), True) if at_end else None


def _parse_chunks(data: bytes, position: int, status: int, closes: bool) -> Answer | None:
    body = b""
    while (line_end := data.find(b"\r\n", position)) >= 0:
        size = int(data[position:line_end].partition(b";")[0], 16)
        start = line_end + 2
        position = start + size + 2
        if len(data) < position:
            return None
        if size == 0:  # no server here sends trailers
            return Answer(status, body, position, closes)
        body += data[start : start + size]
    return None


def _header(head: bytes, name: bytes) -> bytes | None:
    at = head.find(name)
    return head[at + len(name) : head.index(b"\r", at + 1)].strip() if at >= 0 else None
