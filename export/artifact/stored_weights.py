"""The weights of an artifact, to begin other models with."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx.external_data_helper import ExternalDataInfo, uses_external_data

from thimble.export.artifact.graph import EXTERNAL_DATA, ExportError, initializer
from thimble.models.schemes.base import Weights


def stored_weights(path: Path) -> Weights:
    """By their names in the torch module, at the precision of the file. Layers that compute in integers have none.

    What lies beside the file is mapped, and read where it is used. ExportError: it lies anywhere else.
    """
    prefix = initializer("")
    graph = onnx.load(path, load_external_data=False).graph
    named = [tensor for tensor in graph.initializer if tensor.name.startswith(prefix)]
    return {tensor.name.removeprefix(prefix).removesuffix(".fp16"): _array(path, tensor) for tensor in named}


def _array(path: Path, tensor: onnx.TensorProto) -> npt.NDArray[Any]:
    if not uses_external_data(tensor):
        array: npt.NDArray[Any] = onnx.numpy_helper.to_array(tensor)
        return array
    info = ExternalDataInfo(tensor)
    if info.location != EXTERNAL_DATA:
        raise ExportError(f"{path}: its weights lie in {info.location!r}, not in {EXTERNAL_DATA}")
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    return np.memmap(path.with_name(EXTERNAL_DATA), dtype, "r", info.offset or 0, tuple(tensor.dims))
