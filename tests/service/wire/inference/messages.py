"""Requests of the Open Inference Protocol, and what is read of them."""

import json
import struct
from typing import Any

import numpy as np
import pytest

from testing.samples import small_spec
from thimble.service.errors import RequestError
from thimble.service.wire.inference import Inference, InferenceReader
from thimble.service.wire.rows import RowReader

SPEC = small_spec(kinds=("string", "int", "hex"))
READER = InferenceReader(SPEC, RowReader(SPEC, 10))
SINGLE = small_spec(dense=1, kinds=("int",))
SINGLE_READER = InferenceReader(SINGLE, RowReader(SINGLE, 10))
DENSE = {"name": "dense", "datatype": "FP32", "shape": [2, 3], "data": [1, 2.5, 3, 4, 5, 6]}
IDS = {"name": "ids", "datatype": "INT64", "shape": [2, 3], "data": [7, 8, 9, 10, 11, 12]}
TEXT = {"name": "ids", "datatype": "BYTES", "shape": [1, 3]}
TOKENS = ["Größe", "17", "fF"]


def request(*inputs: Any, **rest: Any) -> bytes:
    return json.dumps({"inputs": inputs, **rest}).encode()


def read(content: bytes, header_length: int | None = None) -> Inference:
    return READER.read(content, header_length)


def binary(*tensors: tuple[dict[str, Any], bytes | None], **rest: Any) -> tuple[bytes, int]:
    """A body with the bytes of tensors behind it, None where one has its data inside, and the length of the JSON."""
    inputs = [
        entry if content is None else {**without_data(entry), "parameters": {"binary_data_size": len(content)}}
        for entry, content in tensors
    ]
    header = request(*inputs, **rest)
    return header + b"".join(content or b"" for _, content in tensors), len(header)


def without_data(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "data"}


def sized(entry: dict[str, Any], size: Any) -> dict[str, Any]:
    return {**without_data(entry), "parameters": {"binary_data_size": size}}


def strings(*texts: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def floats(*values: float) -> bytes:
    return np.array(values, "<f4").tobytes()


def integers(*values: int) -> bytes:
    return np.array(values, "<i8").tobytes()


def refusal(content: bytes, header_length: int | None = None, reader: InferenceReader = READER) -> tuple[int, str]:
    with pytest.raises(RequestError) as caught:
        reader.read(content, header_length)
    message = caught.value.message
    assert "\n" not in message and 0 < len(message) < 200
    return caught.value.status, message
