"""Columns of text as numbers and ids, a whole column at a time.

What text means is defined in `thimble.models.conversions`, a value at a time. Here is only what can be read from the
bytes of a column as they lie in Arrow's memory, and that exactly as there; all other values are doubtful, and whoever
asks has the definition read them.
"""

from binascii import unhexlify
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from thimble.models.hashing import ID_BITS, Floats, Int64s

Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

_LONGEST_NUMBER = 100  # with an exponent of two digits it is far from what float64 cannot hold
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,2})?$"
_LONGEST_ID = 18  # below 10^18, which is below 2^60
_LONGEST_TOKEN = ID_BITS // 4


_OTHER = b"\1"


def _alphabet(letters: bytes) -> bytes:
    """What makes of letters 0 and of all other bytes 1."""
    return bytes(byte not in letters for byte in range(256))


_NUMERIC = _alphabet(b"0123456789+-.eE")
_DIGITS = _alphabet(b"0123456789")
_HEX = _alphabet(b"0123456789abcdefABCDEF")


@dataclass(frozen=True)
class TextColumn:
    """Values as bytes one after the other, missing ones of none: value i is data[offsets[i]:offsets[i + 1]]."""

    offsets: npt.NDArray[np.int32]
    data: Bytes

    @property
    def lengths(self) -> npt.NDArray[np.int32]:
        return np.diff(self.offsets)

    def of_other_letters(self, alphabet: bytes) -> Mask:
        """Which values have bytes that are not in an alphabet."""
        found = np.zeros(len(self.offsets) - 1, bool)
        others = self.data.tobytes().translate(alphabet)
        if _OTHER in others:
            places = np.flatnonzero(np.frombuffer(others, np.bool_))
            found[np.searchsorted(self.offsets, places, "right") - 1] = True
        return found

    def where(self, known: Mask) -> Any:
        """The same as an Arrow array of text, null where it is not known."""
        buffers = (np.packbits(known, bitorder="little"), self.offsets, self.data)
        return pa.Array.from_buffers(pa.string(), len(known), [pa.py_buffer(buffer) for buffer in buffers])


def text_column(array: Any) -> TextColumn:
    """From any of Arrow's types of text and bytes."""
    array = array.cast(pa.binary())
    if array.null_count:
        array = array.fill_null(b"")
    _, offsets, data = array.buffers()
    found = np.frombuffer(offsets, np.int32, len(array) + 1, 4 * array.offset)
    start, stop = int(found[0]), int(found[-1])
    inside = np.frombuffer(data, np.uint8, stop - start, start) if stop > start else np.empty(0, np.uint8)
    return TextColumn(found - found[0] if start else found, inside)


def labels_in(text: TextColumn) -> tuple[Floats, Mask]:
    """Zeros and ones, float32 [rows], and which values are doubtful."""
    doubtful = text.lengths != 1
    labels = np.zeros(len(doubtful), np.uint8)
    labels[~doubtful] = text.data[text.offsets[:-1][~doubtful]]
    doubtful |= (labels != ord("0")) & (labels != ord("1"))
    return (labels == ord("1")).astype(np.float32), doubtful


def numbers_in(text: TextColumn) -> tuple[Floats, Mask]:
    """float32 by way of float64, missing ones NaN, and which values are doubtful."""
    lengths = text.lengths
    doubtful = text.of_other_letters(_NUMERIC) | (lengths > _LONGEST_NUMBER)
    try:
        wide = text.where(~doubtful & (lengths > 0)).cast(pa.float64())
    except pa.ArrowInvalid:
        known = text.where(~doubtful & (lengths > 0))
        plain = pc.match_substring_regex(known, _NUMBER).fill_null(True)
        doubtful |= ~plain.to_numpy(zero_copy_only=False)
        wide = text.where(~doubtful & (lengths > 0)).cast(pa.float64())
    with np.errstate(over="ignore"):
        numbers = wide.to_numpy(zero_copy_only=False).astype(np.float32)
    return numbers, doubtful | np.isinf(numbers)


def ids_in(text: TextColumn) -> tuple[Int64s, Mask]:
    """Digits as int64, missing ones 0, and which values are doubtful."""
    lengths = text.lengths
    doubtful = text.of_other_letters(_DIGITS) | (lengths > _LONGEST_ID)
    ids = text.where(~doubtful & (lengths > 0)).cast(pa.int64()).fill_null(0)
    return ids.to_numpy(), doubtful


def tokens_in(text: TextColumn) -> tuple[Int64s, Mask]:
    """Hexadecimal digits as int64, missing ones 0, and which values are doubtful."""
    lengths = text.lengths
    doubtful = text.of_other_letters(_HEX) | (lengths > _LONGEST_TOKEN)
    known = ~doubtful & (lengths > 0)
    data = text.data if not doubtful.any() else text.data[np.repeat(~doubtful, lengths)]
    ids = np.zeros(len(lengths), np.int64)
    if (lengths[known] == 8).all():  # as Criteo's are
        ids[known] = np.frombuffer(unhexlify(data.tobytes()), ">u4")
    else:
        digits = np.full((int(known.sum()), 16), ord("0"), np.uint8)
        digits[np.arange(16) >= 16 - lengths[known][:, None]] = data
        ids[known] = np.frombuffer(unhexlify(digits.tobytes()), ">u8")
    return ids, doubtful
