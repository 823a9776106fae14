"""Weights larger than memory: written into the file of an artifact as they come, and used from there."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx_ir

from thimble.export.artifact.graph import initializer

# Where an array begins, so that it can be mapped into memory on its own.
ALIGNMENT = 1 << 16


class LargeArray(NamedTuple):
    """A weight by its name in the torch module, its values in order, in parts of any size."""

    name: str
    shape: tuple[int, ...]
    dtype: type[np.float32] | type[np.int64]
    parts: Iterable[npt.NDArray[Any]]


class Stored(NamedTuple):
    """A weight that lies in a file: mapped into memory, and as a model's graph points to it."""

    array: npt.NDArray[Any]
    tensor: onnx_ir.ExternalTensor


def write_arrays(path: Path, arrays: Iterable[LargeArray]) -> dict[str, Stored]:
    """Write weights into a new file, one after the other. Returns them by their names, as they lie there."""
    stored = {}
    with path.open("wb") as file:
        for name, shape, dtype, parts in arrays:
            offset = file.seek(-(-file.tell() // ALIGNMENT) * ALIGNMENT)
            for part in parts:
                file.write(np.ascontiguousarray(part, dtype).data)
            array = np.dtype(dtype).itemsize * int(np.prod(shape))
            assert file.tell() == offset + array, f"{name} has {file.tell() - offset} bytes and not {array}"
            stored[name] = (shape, dtype, offset)
    return {name: _mapped(path, name, *where) for name, where in stored.items()}


def _mapped(
    path: Path, name: str, shape: tuple[int, ...], dtype: type[np.float32] | type[np.int64], offset: int
) -> Stored:
    array: npt.NDArray[Any] = np.memmap(path, dtype, "r+", offset, shape)
    tensor = onnx_ir.ExternalTensor(
        path.name,
        offset,
        array.nbytes,
        onnx_ir.DataType.FLOAT if dtype is np.float32 else onnx_ir.DataType.INT64,
        shape=onnx_ir.Shape(shape),
        name=initializer(name),
        base_dir=path.parent,
    )
    return Stored(array, tensor)
