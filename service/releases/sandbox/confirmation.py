"""The sandbox process's second opinion on rows for which the server got no finite scores."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from thimble.models.features import Batch
from thimble.service.engine.engine import Engine
from thimble.service.engine.evidence import finite_rows


def rows_with_scores(engine: Engine, tensors: Sequence[bytes]) -> list[bool]:
    """Of each row, whether its score is finite, alone and together with the others.

    `tensors` are the bytes of a batch's tensors, in the order of the spec's inputs.
    """
    inputs = engine.spec.inputs
    rows = max(len(content) // tensor.row_bytes for content, tensor in zip(tensors, inputs, strict=True) if content)
    batch = Batch._make(
        np.frombuffer(content, tensor.dtype).reshape(rows, tensor.width)
        for content, tensor in zip(tensors, inputs, strict=True)
    )
    together = _finite(engine, batch)
    alone = [_finite(engine, batch.part(row, row + 1)) for row in range(batch.rows)]
    return [bool(finite) for finite in together & np.concatenate(alone)]


def _finite(engine: Engine, batch: Batch) -> npt.NDArray[np.bool_]:
    """Of each row, whether its score is finite; of none, if the engine raises."""
    try:
        return finite_rows(engine.score(batch))
    except Exception:  # ORT has no public base class for its errors
        return np.zeros(batch.rows, bool)
