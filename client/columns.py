"""Features as people have them, to the JSON of a request.

No value becomes another one on the way. What JSON has a form of goes to the server, which knows what each feature
takes, and where a list is a bag of values; anything else is refused here, in the server's words. Nothing of pandas,
polars or pyarrow is imported: their columns make lists of themselves.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import orjson

from thimble.client.errors import ThimbleError
from thimble.client.values import TO_LIST, complaint, first_infinity, has_form, listed, shown, to_json

BAG = "bag"
"""The key of a mapping that is one bag of values for all rows."""
_AS_THEY_ARE = frozenset((list, str, int, float, bool, type(None)))


class _Items(Protocol):
    """A dict, or a data frame of pandas."""

    def items(self) -> Iterable[tuple[Any, Any]]: ...


class _Series(Protocol):
    @property
    def name(self) -> str: ...


class _Frame(Protocol):
    """A data frame of polars."""

    def iter_columns(self) -> Iterator[_Series]: ...


class _Table(Protocol):
    """A table or record batch of pyarrow."""

    @property
    def column_names(self) -> list[str]: ...

    def itercolumns(self) -> Iterator[Any]: ...


Features = _Items | _Frame | _Table


def features_json(features: Features, outputs: Sequence[str] = ()) -> tuple[bytes, int]:
    """The body of a request, and how many rows it holds. Without `outputs` all are asked for.

    ThimbleError 400 names the feature, and the row, of a value that is neither a number nor text nor missing.
    """
    columns = _columns(features)
    try:
        body = to_json({"features": columns, **({"outputs": [*outputs]} if outputs else {})})
    except orjson.JSONEncodeError:
        raise _culprit(columns) from None
    if b"null" in body:  # which may be an infinity
        _require_finite(columns)
    return body, next((len(column) for column in columns.values() if isinstance(column, list)), 1)


def _columns(features: Features) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name, values in _named(features):
        if not isinstance(name, str):
            raise _no_name(name)
        if name in columns:
            raise ThimbleError(400, f"{shown(name)} is the name of two columns")
        columns[str(name)] = values if type(values) in _AS_THEY_ARE else _listed(values)
    return columns


def _named(features: Any) -> Iterable[tuple[Any, Any]]:
    if hasattr(features, "items"):
        named: Iterable[tuple[Any, Any]] = features.items()
        return named
    if hasattr(features, "iter_columns"):
        return ((column.name, column) for column in features.iter_columns())
    if hasattr(features, "itercolumns"):
        return zip(features.column_names, features.itercolumns(), strict=True)
    raise ThimbleError(400, f"features are a mapping of names to values or a data frame, not {type(features).__name__}")


def _listed(values: Any) -> Any:
    """The values of a column as a list; what all rows share as a scalar, or a bag, as it is."""
    if isinstance(values, Mapping):
        bag = values.get(BAG)
        shared = bag if type(bag) in _AS_THEY_ARE or isinstance(bag, Mapping) else _listed(bag)
        return {**values, BAG: shared} if BAG in values else values
    if isinstance(values, str | bytes | np.generic | set | frozenset):  # a set has no order
        return values
    if isinstance(values, np.ndarray):
        return _array_listed(values)
    for method in TO_LIST:
        if hasattr(values, method):
            return getattr(values, method)()
    return list(values) if isinstance(values, Iterable) else values


def _array_listed(values: npt.NDArray[Any]) -> Any:
    if values.ndim and values.dtype == np.float32 and type(values) is np.ndarray and not np.isinf(values).any():
        # in as few digits as tell it from others; tolist makes twice as many of it, and the server limits the bytes
        return orjson.loads(orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY))
    return listed(values)


def _require_finite(columns: Mapping[str, Any]) -> None:
    for name, column in columns.items():
        row = first_infinity(column if isinstance(column, list) else [column])
        if row is not None:
            raise _refused(name, column, row)


def _culprit(columns: Mapping[str, Any]) -> ThimbleError:
    for name, column in columns.items():
        if not has_form({name: None}):
            return _no_name(name)
        for row, value in enumerate(column if isinstance(column, list) else [column]):
            if not has_form({"features": {name: [value]}}):  # as deep as it was
                return _refused(name, column, row)
    raise AssertionError("values that have a form one by one have one together")


def _refused(name: str, column: Any, row: int) -> ThimbleError:
    value, place = (column[row], f" (index {row})") if isinstance(column, list) else (column, "")
    bag = value.get(BAG) if isinstance(value, Mapping) else value
    if isinstance(bag, np.ndarray):
        bag = listed(bag)
    if isinstance(bag, list | tuple):
        value = next((it for it in bag if not has_form(it)), value)
    return ThimbleError(400, f"{name}: {complaint(value)}{place}")


def _no_name(name: object) -> ThimbleError:
    return ThimbleError(400, f"a feature has the name {shown(name)}, which is no text")
