"""Tensors in the forms of the Open Inference Protocol."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson

Floats = npt.NDArray[np.float32]
Int64s = npt.NDArray[np.int64]

HEADER_LENGTH = "inference-header-content-length"
DATATYPES = {"float32": "FP32", "int64": "INT64"}


class JsonTensor(NamedTuple):
    """A tensor of values that its datatype may have no bytes for: `data` is a list of them in JSON, row by row."""

    datatype: str
    shape: tuple[int, ...]
    data: bytes


def infer_request(
    tensors: Mapping[str, Floats | Int64s | JsonTensor], timeout: float | None = None, outputs: Sequence[str] = ()
) -> tuple[dict[str, str], bytes]:
    """Headers and body of a request that scores tensors [rows, width] and takes scores as bytes.

    Arrays, float32 or int64, are sent as bytes too. `timeout` is in seconds. Without `outputs` all are asked for.
    """
    inputs = [{"name": name, **_described(tensor)} for name, tensor in tensors.items()]
    parameters: dict[str, Any] = {"binary_data_output": True}
    if timeout is not None:
        parameters["timeout"] = max(round(timeout * 1e6), 1)
    request: dict[str, Any] = {"inputs": inputs, "parameters": parameters}
    if outputs:
        request["outputs"] = [{"name": name} for name in outputs]
    header = orjson.dumps(request)
    headers = {"content-type": "application/octet-stream", HEADER_LENGTH: str(len(header))}
    arrays = (tensor for tensor in tensors.values() if not isinstance(tensor, JsonTensor))
    little_endian = (array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes() for array in arrays)
    return headers, b"".join([header, *little_endian])


def _described(tensor: Floats | Int64s | JsonTensor) -> dict[str, Any]:
    if isinstance(tensor, JsonTensor):
        return {"datatype": tensor.datatype, "shape": tensor.shape, "data": orjson.Fragment(tensor.data)}
    return {
        "datatype": DATATYPES[tensor.dtype.name],
        "shape": tensor.shape,
        "parameters": {"binary_data_size": tensor.nbytes},
    }
