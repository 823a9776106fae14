"""Lines of bytes, looked at all at once."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from thimble.export.clicks.text_values import Mask
from thimble.models.hashing import Int64s


@dataclass(frozen=True)
class Lines:
    """Lines one after the other in `text`, each with a line feed at its end.

    `lengths`, int64 [lines], are those without it.
    """

    text: bytes
    lengths: Int64s

    @staticmethod
    def of(text: bytes) -> "Lines":
        """The last one may lack its end."""
        if not text.endswith(b"\n"):
            text += b"\n"
        return Lines(text, np.diff(np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n")), prepend=-1) - 1)

    def __getitem__(self, line: int) -> bytes:
        end = int(self.ends[line])
        return self.text[end - 1 - int(self.lengths[line]) : end - 1]

    @property
    def letters(self) -> npt.NDArray[np.uint8]:
        """All bytes, the ends of lines among them."""
        return np.frombuffer(self.text, np.uint8)

    @cached_property
    def ends(self) -> Int64s:
        """Where each line's next one begins."""
        return np.cumsum(self.lengths + 1)

    def having(self, found: Mask) -> Mask:
        """Which lines have one of some letters, which `found`, bool [letters], marks."""
        return np.logical_or.reduceat(found, self._starts)

    def columns(self, separator: str, *, quoted: bool) -> Int64s:
        """How many each line has. If values may be `quoted`, all quotes are where they belong."""
        separators = self.letters == ord(separator)
        if quoted and b'"' in self.text:
            separators &= np.cumsum(self.letters == ord('"'), dtype=np.uint8) % 2 == 0  # after an even number of them
        return np.add.reduceat(separators, self._starts, dtype=np.int64) + 1

    def only(self, wanted: Mask) -> "Lines":
        """Some of them. Those that follow each other are copied together."""
        if wanted.all():
            return self
        bounds = np.append(0, self.ends)[np.flatnonzero(np.diff(wanted, prepend=False, append=False))].tolist()
        runs = [self.text[start:end] for start, end in zip(bounds[::2], bounds[1::2], strict=True)]
        return Lines(b"".join(runs), self.lengths[wanted])

    @property
    def _starts(self) -> Int64s:
        return self.ends - self.lengths - 1


def unified(text: bytes) -> bytes:
    """With line ends of line feeds alone. The last line of a file may have none."""
    if b"\r" not in text:
        return text
    text = text.replace(b"\r\n", b"\n")
    return text.removesuffix(b"\r") + b"\n" if text.endswith(b"\r") else text


def lines_of(text: bytes) -> list[bytes]:
    """Without their ends."""
    return text.removesuffix(b"\n").split(b"\n") if text else []
