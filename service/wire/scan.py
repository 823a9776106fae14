"""JSON as bytes: what it would become is known before it is parsed.

The parser keeps the interpreter to itself until it is done, and what it makes may weigh seventy times what was sent. So
values are counted where they are separated, with numpy, which does neither. Strings may hold separators, and only a
body that seems to have too many is looked at more closely.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from thimble.models.spec import ModelSpec
from thimble.service.errors import RequestError

# So few bytes become nothing that matters.
HARMLESS_BYTES = 32 << 10
# Values, lists, objects and keys beside those of rows: names, shapes, parameters.
OTHERS = 1024
# Values of full bags that are parsed at once, whatever number of rows a request may have: a million take a tenth of a
# second, in which no other thread runs.
BAG_VALUES = 1 << 19
NAN, NULL = b"NaN", b"null"


class JsonBounds:
    """How much of everything a request may have that asks for at most `max_rows` rows of a model."""

    def __init__(self, spec: ModelSpec, max_rows: int) -> None:
        features, columns = len(spec.feature_names), sum(tensor.width for tensor in spec.inputs)
        bags = sum(bag is not None for bag in spec.bags)
        full = max(min(max_rows, BAG_VALUES // columns), 1) if bags else max_rows
        self._most = {
            b",": ("values", max(full * columns, max_rows * features) + OTHERS, f"{full} rows"),
            # a tensor may have a list a row, and so may a bag
            b"[": ("lists", max_rows * max(len(spec.inputs), bags) + features + OTHERS, f"{max_rows} rows"),
            b"{": ("objects", bags + OTHERS, f"{max_rows} rows"),
            b":": ("keys", features + bags + OTHERS, f"{max_rows} rows"),
        }

    def check(self, text: bytes) -> None:
        """RequestError 413: whatever it is, it is too much."""
        if len(text) <= HARMLESS_BYTES:
            return
        outside = None
        for separator, (things, most, rows) in self._most.items():
            if text.count(separator) <= most:
                continue
            outside = outside_strings(text) if outside is None else outside
            count = np.count_nonzero((_bytes(text) == ord(separator)) & outside)
            if count > most:
                raise RequestError(413, f"{count} {things} are more than a request has with {rows}, which is the limit")


def outside_strings(text: bytes) -> npt.NDArray[np.bool_]:
    """Of each byte whether it is outside of JSON's strings, as far as `text` is JSON; of quotes it says nothing."""
    if b"\\" in text:  # first pairs of them, so that what is left before a quote escapes it
        text = text.replace(b"\\\\", b"  ").replace(b'\\"', b"  ")
    quotes = _bytes(text) == ord('"')
    outside: npt.NDArray[np.bool_] = np.cumsum(quotes, dtype=np.uint8) & 1 == 0
    return outside


def nan_as_null(text: bytes) -> bytes:
    """NaN outside of strings as null. It is no JSON, but Triton's client writes it for arrays that hold it.

    What has NaN in another word stays no JSON, as null in that word is none.
    """
    if NAN not in text:
        return text
    given = _bytes(text)
    first, second, third = (given[i : len(given) - 2 + i] == letter for i, letter in enumerate(NAN))
    starts = np.flatnonzero(first & second & third & outside_strings(text)[:-2])
    longer = np.insert(given, starts, NULL[0])  # by one letter each
    starts += np.arange(len(starts))
    for i, letter in enumerate(NULL):
        longer[starts + i] = letter
    return longer.tobytes()


def _bytes(text: bytes) -> npt.NDArray[Any]:
    return np.frombuffer(text, np.uint8)
