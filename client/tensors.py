"""Arrays as people have them, to the tensors of a request.

No value becomes another one on the way: what float32 and int64 cannot carry goes to the server as JSON, and the server,
which knows the features, takes or refuses it.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from thimble.client.encoding import Floats, Int64s, JsonTensor
from thimble.client.errors import ThimbleError
from thimble.client.values import has_form, shown, to_json


def dense_tensor(values: npt.ArrayLike) -> Floats | JsonTensor:
    """Numbers. ThimbleError 400: they are no array."""
    array = _array("dense", values)
    if array.dtype.kind not in "fiu":
        return _as_json(array, "FP32")
    with np.errstate(over="ignore"):
        narrow = array.astype(np.float32, copy=False)
    grown = np.isinf(narrow) & np.isfinite(array)
    return _as_json(array, "FP32") if grown.any() else narrow


def ids_tensor(values: npt.ArrayLike) -> Int64s | JsonTensor:
    """Ids. ThimbleError 400: they are no array."""
    array = _array("ids", values)
    if array.dtype.kind not in "iu" or not np.can_cast(array.dtype, np.int64):
        return _as_json(array, "INT64")
    return array.astype(np.int64, copy=False)


def _array(name: str, values: npt.ArrayLike) -> npt.NDArray[Any]:
    try:
        array = np.asanyarray(values)
    except (TypeError, ValueError, RuntimeError) as error:  # rows of several lengths, or a tensor that is on a GPU
        raise ThimbleError(400, f"{name}: no array [rows, columns]: {error}") from None
    if isinstance(array, np.ma.MaskedArray):
        missing, array = np.ma.getmaskarray(array), array.data.astype(object)
        array[missing] = None
    return array


def _as_json(array: npt.NDArray[Any], datatype: str) -> JsonTensor:
    """What JSON has no form of goes as its text, which is no number: the server refuses it, and says where it is."""
    if array.dtype.kind in "mM":
        array = array.astype(str)  # tolist would make numbers of times
    values = [value if has_form(value) else shown(value) for value in array.ravel().tolist()]
    return JsonTensor(datatype, array.shape, to_json(values))
