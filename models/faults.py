"""What is wrong with rows that cannot be read."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from thimble.models.hashing import Int64s


class Faults(Mapping[int, str]):
    """What is wrong with each bad row, which is put into words when somebody asks: few of many are shown.

    `rows`, int64 [bad rows], ascend.
    """

    def __init__(self, rows: Int64s, reason: Callable[[int], str]) -> None:
        self.rows = rows
        self._reason = reason

    @staticmethod
    def none() -> "Faults":
        return Faults(np.empty(0, np.int64), str)

    def __getitem__(self, row: int) -> str:
        if row not in self.rows:
            raise KeyError(row)
        return self._reason(row)

    def __iter__(self) -> Iterator[int]:
        return iter(self.rows.tolist())

    def __len__(self) -> int:
        return len(self.rows)
