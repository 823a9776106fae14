"""The rows of click files that have to be left out."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from thimble.export.clicks.rows import ClickError
from thimble.export.clicks.tables import ClickFile, Table
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
    seen: set[tuple[Path, int]] = field(default_factory=set)
    valued: set[str] = field(default_factory=set)
    _bad_values: Counter[str] = field(default_factory=Counter)
    _before: int = 0
    _hopeful: bool = False

    @property
    def count(self) -> int:
        return self._before + len(self.seen)

    @property
    def may_be_more(self) -> bool:
        """Whether counting has stopped."""
        return len(self.seen) >= self.MOST

    def found_before(self, count: int, first: Mapping[str, str], valued: Collection[str]) -> None:
        """Rows that an earlier reading left out, and the columns of which it read a value. ClickError as `add`."""
        if self.strict and count:
            raise ClickError(next(iter(first.values())))
        self._before = count
        self.first |= first
        self.valued.update(valued)
        self._hopeful |= bool(valued)

    def add_all(self, file: ClickFile, table: Table, reasons: Mapping[str, Mapping[int, str]]) -> Int64s:
        """The bad rows of a table, ascending, each noted with the first thing that is wrong with it.

        `reasons` are what is wrong with fitting rows, by column, in the order in which they count. ClickError: there is
        to be no bad row, or too many are.
        """
        before = self.count
        bad = np.zeros(len(table), bool)
        bad[list(table.misfits)] = True
        found = {name: wrong for name, wrong in reasons.items() if wrong}
        for name, wrong in found.items():
            bad[table.fitting[list(wrong)]] = True
            if name not in self.valued:
                self._count_values(file, table, name, wrong)
        rows = np.flatnonzero(bad)
        if len(rows):
            self._note(file, table, rows, found)
        if not self._hopeful:
            leading = self.count if bad.all() else before + int(np.argmin(bad))
            if leading >= self.HOPELESS:
                first = next(iter(self.first.values()))
                raise ClickError(f"not one of the first {self.HOPELESS:,} rows can be used; {first}")
            self._hopeful = not bad.all()
        return rows

    def add(self, path: Path, line: int, message: str) -> None:
        """A bad row. ClickError: there is to be none."""
        if self.strict:
            raise ClickError(message)
        if len(self.seen) < self.MOST:
            self.seen.add((path, line))
        if len(self.first) < _SHOWN:
            self.first.setdefault(f"{path}:{line}", message)

    def _note(self, file: ClickFile, table: Table, rows: Int64s, reasons: Mapping[str, Mapping[int, str]]) -> None:
        """Add rows; what is wrong with them is put into words for the first of all alone."""
        for row in rows.tolist():
            if len(self.first) >= _SHOWN:
                break
            message = f"{_place(file, table, row)}: {_reason(table, row, reasons)}"
            self.add(file.path, int(table.lines[row]), message)
        for line in table.lines[rows].tolist():
            if len(self.seen) == self.MOST:
                break
            self.seen.add((file.path, line))

    def _count_values(self, file: ClickFile, table: Table, name: str, wrong: Mapping[int, str]) -> None:
        for row, reason in zip(table.fitting[list(wrong)].tolist(), wrong.values(), strict=True):
            if (file.path, int(table.lines[row])) not in self.seen:
                self._bad_values[name] += 1
                if self._bad_values[name] == self.HOPELESS:
                    raise ClickError(
                        f"column {name!r}: not one of its first {self.HOPELESS:,} values can be read; "
                        f"{_place(file, table, row)}: {reason}"
                    )


def _reason(table: Table, row: int, reasons: Mapping[str, Mapping[int, str]]) -> str:
    """What is wrong with a bad row first."""
    if row in table.misfits:
        return table.misfits[row]
    fitting = int(np.searchsorted(table.fitting, row))
    return next(f"{name}: {wrong[fitting]}" for name, wrong in reasons.items() if fitting in wrong)


def _place(file: ClickFile, table: Table, row: int) -> str:
    return f"{file.name} {file.unit} {table.lines[row]}"
