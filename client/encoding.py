"""Tensors in the binary form of the Open Inference Protocol."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

Floats = npt.NDArray[np.float32]
Int64s = npt.NDArray[np.int64]

HEADER_LENGTH = "inference-header-content-length"
DATATYPES = {"float32": "FP32", "int64": "INT64"}


def infer_request(tensors: Mapping[str, Floats | Int64s], timeout: float | None = None) -> tuple[dict[str, str], bytes]:
    """Headers and body of a request that scores tensors, float32 or int64 [rows, width], and takes scores as bytes too.

    `timeout` is in seconds.
    """
    inputs = [
        {
            "name": name,
            "datatype": DATATYPES[array.dtype.name],
            "shape": array.shape,
            "parameters": {"binary_data_size": array.nbytes},
        }
        for name, array in tensors.items()
    ]
    parameters: dict[str, Any] = {"binary_data_output": True}
    if timeout is not None:
        parameters["timeout"] = max(round(timeout * 1e6), 1)
    header = orjson.dumps({"inputs": inputs, "parameters": parameters})
    headers = {"content-type": "application/octet-stream", HEADER_LENGTH: str(len(header))}
    little_endian = (array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes() for array in tensors.values())
    return headers, b"".join([header, *little_endian])
