"""The rows of click files that have to be left out."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from thimble.export.clicks.rows import ClickError
from thimble.export.clicks.tables import ClickFile, Table
from thimble.models.faults import Faults
from thimble.models.hashing import Int64s

_SHOWN = 5


@dataclass
class BadRows:
    """How many rows were left out, and the first few by name. `strict` makes the first one an error.

    Rows are read several times but counted once; the count stops at MOST, lest it grow with the file. HOPELESS bad rows
    before the first good one are an error, and so are as many bad values of a column that has not been `valued`, where
    rows without a value are good: the columns hold something else than was thought, and there is no use in reading on.
    """

    MOST: ClassVar[int] = 100_000
    HOPELESS: ClassVar[int] = 10_000

    strict: bool = False
    first: dict[str, str] = field(default_factory=dict)
    seen: dict[Path, set[int]] = field(default_factory=dict)
    valued: set[str] = field(default_factory=set)
    _bad_values: Counter[str] = field(default_factory=Counter)
    _before: int = 0
    _seen: int = 0
    _hopeful: bool = False

    @property
    def count(self) -> int:
        return self._before + self._seen

    @property
    def may_be_more(self) -> bool:
        """Whether counting has stopped."""
        return self._seen >= self.MOST

    def found_before(self, count: int, first: Mapping[str, str], valued: Collection[str]) -> None:
        """Rows that an earlier reading left out, and the columns of which it read a value. ClickError as `add`."""
        if self.strict and count:
            raise ClickError(next(iter(first.values())))
        self._before = count
        self.first |= first
        self.valued.update(valued)
        self._hopeful |= bool(valued)

    def add_all(self, file: ClickFile, table: Table, faults: Mapping[str, Faults]) -> npt.NDArray[np.bool_]:
        """Which rows of a table are bad, bool [rows], each noted with the first thing that is wrong with it.

        `faults` are what is wrong with fitting rows, by column, in the order in which they count. ClickError: there is
        to be no bad row, or too many are.
        """
        before = self.count
        bad = np.zeros(len(table), bool)
        bad[list(table.misfits)] = True
        found = {name: wrong for name, wrong in faults.items() if wrong}
        for name, wrong in found.items():
            bad[table.fitting[wrong.rows]] = True
            if name not in self.valued:
                self._count_values(file, table, name, wrong)
        if bad.any():
            self._note(file, table, np.flatnonzero(bad), found)
        if not self._hopeful:
            leading = self.count if bad.all() else before + int(np.argmin(bad))
            if leading >= self.HOPELESS:
                first = next(iter(self.first.values()))
                raise ClickError(f"not one of the first {self.HOPELESS:,} rows can be used; {first}")
            self._hopeful = not bad.all()
        return bad

    def _note(self, file: ClickFile, table: Table, rows: Int64s, faults: Mapping[str, Faults]) -> None:
        """Count rows that have not been counted; what is wrong is put into words for the first of all alone."""
        for row in rows.tolist():
            if len(self.first) >= _SHOWN:
                break
            message = f"{_place(file, table, row)}: {_reason(table, row, faults)}"
            if self.strict:
                raise ClickError(message)
            self.first.setdefault(f"{file.path}:{table.lines[row]}", message)
        seen = self.seen.setdefault(file.path, set())
        new = [line for line in table.lines[rows].tolist() if line not in seen][: self.MOST - self._seen]
        seen.update(new)
        self._seen += len(new)

    def _count_values(self, file: ClickFile, table: Table, name: str, faults: Faults) -> None:
        seen = self.seen.get(file.path, set())
        for fitting in faults:
            row = int(table.fitting[fitting])
            if int(table.lines[row]) not in seen:
                self._bad_values[name] += 1
                if self._bad_values[name] == self.HOPELESS:
                    raise ClickError(
                        f"column {name!r}: not one of its first {self.HOPELESS:,} values can be read; "
                        f"{_place(file, table, row)}: {faults[fitting]}"
                    )


def _reason(table: Table, row: int, faults: Mapping[str, Faults]) -> str:
    """What is wrong with a bad row first."""
    if row in table.misfits:
        return table.misfits[row]
    fitting = int(np.searchsorted(table.fitting, row))
    return next(f"{name}: {wrong[fitting]}" for name, wrong in faults.items() if fitting in wrong)


def _place(file: ClickFile, table: Table, row: int) -> str:
    return f"{file.name} {file.unit} {table.lines[row]}"
