"""The worst that a body can be made of, at the largest size that the default limits let in, and some beyond it."""

import gzip
import json
import struct
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from thimble.models.presets import CRITEO_DENSE, criteo_fields

MIB = 1 << 20
TEXT, BODY, ROWS = 4 * MIB, 16 * MIB, 10_000
NUMBERS, FIELDS = CRITEO_DENSE, [field.name for field in criteo_fields([1] * 26)]
VALUES = ROWS * (len(NUMBERS) + len(FIELDS))
SCORE, INFER = b"/v1/score", b"/v2/models/criteo/infer"
TSV = b"Content-Type: text/tab-separated-values"
GZIP = b"Content-Encoding: gzip"


class Sent(NamedTuple):
    """A request, and the statuses that it may be answered with."""

    body: bytes
    statuses: set[int]
    path: bytes = SCORE
    headers: tuple[bytes, ...] = ()


def filled(start: bytes, piece: bytes, end: bytes, size: int = TEXT, count: int | None = None) -> bytes:
    """A piece again and again: so many times, or as often as there is room."""
    room = (size - len(start) - len(end)) // len(piece)
    return start + piece * (room if count is None else min(count, room)) + end


def listed(piece: bytes, last: bytes, size: int = TEXT, count: int | None = None) -> bytes:
    """A list of the same value for one feature."""
    return filled(b'{"features": {"I1": [', piece + b",", last + b"]}}", size, count)


def columns(number: Any, token: Any) -> bytes:
    """As many good or bad rows as there may be."""
    features = {name: [number] * ROWS for name in NUMBERS} | {name: [token] * ROWS for name in FIELDS}
    return json.dumps({"features": features}, separators=(",", ":")).encode()


def inferred(dense: Any, ids: Any, datatype: str = "INT64", nested: bool = False, **rest: Any) -> bytes:
    """The same as tensors in JSON."""

    def tensor(name: str, datatype: str, width: int, value: Any) -> dict[str, Any]:
        data = [[value] * width] * ROWS if nested else [value] * width * ROWS
        return {"name": name, "datatype": datatype, "shape": [ROWS, width], "data": data}

    inputs = [tensor("dense", "FP32", len(NUMBERS), dense), tensor("ids", datatype, len(FIELDS), ids)]
    return json.dumps({"inputs": inputs, **rest}, separators=(",", ":")).encode()


def binary(ids: bytes, datatype: str, padding: int = 0) -> tuple[bytes, bytes]:
    """A body whose tensors are behind its JSON, and the header with the length of that JSON."""
    dense = np.zeros((ROWS, len(NUMBERS)), "<f4").tobytes()
    inputs = [
        {"name": name, "datatype": kind, "shape": [ROWS, width], "parameters": {"binary_data_size": len(content)}}
        for name, kind, width, content in (
            ("dense", "FP32", len(NUMBERS), dense),
            ("ids", datatype, len(FIELDS), ids),
        )
    ]
    header = json.dumps({"inputs": inputs}).encode() + b" " * padding
    return header + dense + ids, b"Inference-Header-Content-Length: %d" % len(header)


def texts(text: bytes) -> bytes:
    """The same text for every field of every row."""
    return (struct.pack("<I", len(text)) + text) * (ROWS * len(FIELDS))


def tensors(ids: bytes, datatype: str, *statuses: int, padding: int = 0) -> Sent:
    body, header = binary(ids, datatype, padding)
    return Sent(body, set(statuses), INFER, (header,))


def bomb(size: int) -> bytes:
    """Blanks that inflate to so many bytes."""
    stream = zlib.compressobj(9, wbits=31)
    return b"".join(stream.compress(b" " * MIB) for _ in range(size // MIB)) + stream.flush()


def packed(sent: Sent) -> Sent:
    return sent._replace(body=gzip.compress(sent.body, 1), headers=(*sent.headers, GZIP))


IDS = np.arange(ROWS * len(FIELDS), dtype="<i8").tobytes()
# Made when they are needed, for together they weigh more than the server may.
HOSTILE: dict[str, Callable[[], Sent]] = {
    "15.7 MiB of objects": lambda: Sent(listed(b"{}", b"{}", BODY), {413}),
    "objects": lambda: Sent(listed(b"{}", b"{}"), {413}),
    "lists": lambda: Sent(listed(b"[]", b"[]"), {413}),
    "numbers": lambda: Sent(listed(b"0", b"0"), {413}),
    "as many short texts as values": lambda: Sent(listed(b'"x"', b'""', count=VALUES), {413}),
    "as many fractions as values": lambda: Sent(listed(b"1.25e-3", b"0", count=VALUES), {413}),
    "keys": lambda: Sent(b'{"features": {' + b",".join(b'"%06x":0' % i for i in range(400_000)) + b"}}", {413}),
    "the same key": lambda: Sent(filled(b'{"features": {', b'"I1":0,', b'"I1":0}}'), {413}),
    "nesting": lambda: Sent(b"[" * TEXT, {413}),
    "nested objects": lambda: Sent(filled(b"", b'{"a":', b""), {413}),
    "a long text of separators": lambda: Sent(filled(b'{"features": {"C1": "', b',[{\\\\:\\"', b'"}}'), {400}),
    "a long wide text": lambda: Sent(filled(b'{"features": {"C1": "', b"a", '😀"}}'.encode()), {400}),
    "a long name": lambda: Sent(filled(b'{"features": {"', b"a", b'": 1}}'), {400}),
    "backslashes": lambda: Sent(b"\\" * TEXT, {400}),
    "a long integer": lambda: Sent(filled(b'{"features": {"I1": ', b"1", b"}}"), {400}),
    "blanks for JSON": lambda: Sent(b" " * TEXT, {400}),
    "blank values": lambda: Sent(columns(" ", " "), {200}),
    "bad values": lambda: Sent(columns("x", "zz"), {400}),
    "lines": lambda: Sent(b"\n" * (TEXT - 1) + b"x", {413}, headers=(TSV,)),
    "tabs": lambda: Sent(b"\t" * TEXT, {400}, headers=(TSV,)),
    "lines of tabs": lambda: Sent(filled(b"", b"\t" * 400 + b"\n", b""), {400, 413}, headers=(TSV,)),
    "blank lines": lambda: Sent((b"\t".join([b" "] * 39) + b"\n") * ROWS, {200}, headers=(TSV,)),
    "no UTF-8": lambda: Sent(b"\xff" * TEXT, {400}, headers=(TSV,)),
    "NaN": lambda: Sent(filled(b'{"inputs": [', b"NaN,", b"NaN]}"), {413}, INFER),
    "as many NaN as values": lambda: Sent(inferred(float("nan"), 1), {200}, INFER),
    "NaN without end": lambda: Sent(filled(b'{"inputs": [', b"NaN", b"]}"), {400}, INFER),
    "NaN in a text": lambda: Sent(filled(b'{"inputs": [NaN], "id": "', b"NaN\\\\", b'"}'), {400}, INFER),
    "nested tensors": lambda: Sent(inferred(0, 1, nested=True), {200}, INFER),
    "bad tensors": lambda: Sent(inferred("x", "x"), {400}, INFER),
    "blank tensors": lambda: Sent(inferred(0, " ", "BYTES"), {200}, INFER),
    "tensors without end": lambda: Sent(filled(b'{"inputs": [', b"{},", b"{}]}"), {413}, INFER),
    "empty BYTES": lambda: tensors(texts(b""), "BYTES", 200),
    "long BYTES": lambda: tensors(texts(b"0" * 55), "BYTES", 400),
    "BYTES in escapes": lambda: _escaped(tensors(texts(b""), "BYTES", 200)),
    "a long header": lambda: tensors(IDS, "INT64", 200, padding=3 * MIB),
    "a header beyond its limit": lambda: tensors(IDS, "INT64", 413, padding=5 * MIB),
    "a bomb": lambda: Sent(bomb(256 * MIB), {413}, headers=(GZIP,)),
    "a bomb of a header": lambda: Sent(bomb(256 * MIB), {413}, INFER, (GZIP, b"Inference-Header-Content-Length: 1000")),
    "packed objects": lambda: packed(Sent(listed(b"{}", b"{}"), {413})),
    "packed texts": lambda: packed(Sent(listed(b'"x"', b'""', count=VALUES), {413})),
    "packed blanks": lambda: packed(Sent(columns(" ", " "), {200})),
    "packed BYTES": lambda: packed(tensors(texts(b""), "BYTES", 200)),
    "packed header": lambda: packed(tensors(IDS, "INT64", 200, padding=3 * MIB)),
}
GOOD: dict[str, Callable[[], Sent]] = {
    "JSON": lambda: Sent(columns(3, "68fd1e64"), {200}),
    "JSON of nulls": lambda: Sent(columns(None, None), {200}),
    "TSV": lambda: Sent((b"\t".join([b"3"] * 13 + [b"68fd1e64"] * 26) + b"\n") * ROWS, {200}, headers=(TSV,)),
    "tensors in JSON": lambda: Sent(inferred(0.5, 7), {200}, INFER),
    "texts in JSON": lambda: Sent(inferred(0.5, "68fd1e64", "BYTES"), {200}, INFER),
    "binary tensors": lambda: tensors(IDS, "INT64", 200),
    "binary texts": lambda: tensors(texts(b"68fd1e64"), "BYTES", 200),
    "packed JSON": lambda: packed(Sent(columns(3, "68fd1e64"), {200})),
    "packed tensors": lambda: packed(tensors(IDS, "INT64", 200)),
}


def _escaped(sent: Sent) -> Sent:
    """With the word BYTES written so that a search does not find it."""
    body = sent.body.replace(b'"BYTES"', b'"\\u0042YTES"', 1)
    length = int(sent.headers[0].rpartition(b" ")[2]) + len(body) - len(sent.body)
    return sent._replace(body=body, headers=(b"Inference-Header-Content-Length: %d" % length,))
