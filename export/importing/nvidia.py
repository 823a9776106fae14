"""The folder in which NVIDIA/DeepLearningExamples keeps a DLRM: raw tables, and files of torch.save's beside them.

Which tables there are and in which order the interaction takes them, is in its metadata.pt. That order follows the
tables' lengths and the GPUs, and not the columns of the data, after which the files are called.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from thimble.export.importing.torch_file import load
from thimble.export.importing.weights import CheckpointError, Span, Weight

MLPS = ("bottom_model.mlp", "top_model.mlp", "top_model.out")


class NvidiaFolder(NamedTuple):
    """Its tensors by their keys, and of each table, in the order of the interaction, the column of the data."""

    tensors: dict[str, Any]
    columns: list[int]


def read_folder(folder: Path) -> NvidiaFolder:
    """CheckpointError: a file is missing, truncated or of another kind. OSError: it cannot be read."""
    metadata = _present(folder / "metadata.pt")
    columns = _columns(metadata, folder)
    tensors: dict[str, Any] = {f"embeddings.{place}": _table(folder, column) for place, column in enumerate(columns)}
    return NvidiaFolder(tensors | {name: _present(folder / f"{name}.pt") for name in MLPS}, columns)


def _present(path: Path) -> Any:
    if not path.is_file():
        raise CheckpointError(f"{path.parent} has no {path.name}, so it is no whole checkpoint of NVIDIA's DLRM")
    return load(path)


def _columns(metadata: Any, folder: Path) -> list[int]:
    """Which columns have tables, in the order of the interaction."""
    try:
        buckets: Sequence[Sequence[int]] = metadata["data"]["device_mapping"]["embedding"]
        config: Mapping[str, Any] = metadata["config"]
        columns = [int(column) for bucket in buckets for column in bucket]
        interaction, ordered = config["interaction_op"], config["bottom_features_ordered"]
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(f"{folder}/metadata.pt does not say in which order tables are taken") from None
    if interaction not in ("dot", "cuda_dot"):
        raise CheckpointError(f"{folder} is of a model whose interaction is {interaction}, and not dot")
    # with one process its code leaves them as they are on the GPU, whatever was asked
    return sorted(columns) if ordered and len(buckets) > 1 else columns


def _table(folder: Path, column: int) -> Weight:
    path = folder / f"bottom_model.embeddings.{column}.bin"
    meta = _present(folder / f"embeddings.{column}.meta.pt")
    shape = meta.get("shape") if isinstance(meta, Mapping) else None
    if not isinstance(shape, list) or len(shape) != 2 or not all(type(size) is int and size > 0 for size in shape):
        raise CheckpointError(f"{folder}/embeddings.{column}.meta.pt gives no shape of a table")
    expected, found = 4 * shape[0] * shape[1], path.stat().st_size
    if found != expected:
        raise CheckpointError(f"{path} has {found} bytes, and a table of {shape} has {expected}")
    span = Span(path, 0, np.dtype("<f4"), (shape[0], shape[1]), (4 * shape[1], 4))
    return Weight(span.shape, str(path), span.stored)
