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


def request_tensors(dense: npt.ArrayLike | None, ids: npt.ArrayLike | None) -> dict[str, Floats | Int64s | JsonTensor]:
    """What a request brings, by name. ThimbleError 400: it brings nothing, or what is no array."""
    tensors: dict[str, Floats | Int64s | JsonTensor] = {}
    if dense is not None:
        tensors["dense"] = dense_tensor(dense)
    if ids is not None:
        tensors["ids"] = ids_tensor(ids)
    if not tensors:
        raise ThimbleError(400, "dense and ids are both None; a model takes at least one of them")
    return tensors


def dense_tensor(values: npt.ArrayLike) -> Floats | JsonTensor:
    """Numbers. ThimbleError 400: they are no array."""
    array = _unmasked(_array("dense", values))
    if array.dtype.kind not in "fiu":
        return _as_json(array, "FP32")
    with np.errstate(over="ignore"):
        narrow = array.astype(np.float32, copy=False)
    grown = np.isinf(narrow) & np.isfinite(array)
    return _as_json(array, "FP32") if grown.any() else narrow


def ids_tensor(values: npt.ArrayLike) -> Int64s | JsonTensor:
    """Ids. ThimbleError 400: they are no array, or are floats so narrow that they were other integers before."""
    array = _array("ids", values)
    _require_exact(array)
    array = _unmasked(array)
    if array.dtype.kind not in "iu" or not np.can_cast(array.dtype, np.int64):
        return _as_json(array, "INT64")
    return array.astype(np.int64, copy=False)


def _array(name: str, values: npt.ArrayLike) -> npt.NDArray[Any]:
    try:
        return np.asanyarray(values)
    except (TypeError, ValueError, RuntimeError) as error:  # rows of several lengths, or a tensor that is on a GPU
        raise ThimbleError(400, f"{name}: no array [rows, columns]: {error}") from None


def _unmasked(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """With None where a value is masked."""
    if isinstance(array, np.ma.MaskedArray):
        missing, array = np.ma.getmaskarray(array), array.data.astype(object)
        array[missing] = None
    return array


def _require_exact(array: npt.NDArray[Any]) -> None:
    """The server cannot see it: JSON has one kind of floats, of 64 bits."""
    if array.dtype.kind != "f" or array.dtype.itemsize >= 8 or array.ndim != 2:
        return
    power = np.finfo(array.dtype).nmant + 1
    for row, column in np.argwhere((np.abs(array) >= 2**power) & np.isfinite(array)):
        wrong = f"{float(array[row, column])} is a {array.dtype.name}"
        reason = f"{wrong}, which from 2^{power} on stands for several integers"
        raise ThimbleError(400, f"ids: column {column} in row {row}: {reason}")


def _as_json(array: npt.NDArray[Any], datatype: str) -> JsonTensor:
    """What JSON has no form of goes as its text, which is no number: the server refuses it, and says where it is."""
    if array.dtype.kind in "mM":
        array = array.astype(str)  # tolist would make numbers of times
    values = [value if has_form(value) else shown(value) for value in array.ravel().tolist()]
    return JsonTensor(datatype, array.shape, to_json(values))
