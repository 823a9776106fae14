"""The rows of click files that have to be left out."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from thimble.export.clicks.rows import ClickError
from thimble.export.clicks.tables import ClickFile, Table

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

    def found_before(self, count: int, first: Mapping[str, str], valued: Collection[str]) -> None:
        """Rows that an earlier reading left out, and the columns of which it read a value. ClickError as `add`."""
        if self.strict and count:
            raise ClickError(next(iter(first.values())))
        self._before = count
        self.first |= first
        self.valued.update(valued)
        self._hopeful |= bool(valued)

    def add_all(self, file: ClickFile, table: Table, reasons: Mapping[str, Mapping[int, str]]) -> list[int]:
        """The bad rows of a table, each noted with the first thing that is wrong with it, in the order of `reasons`.

        `reasons` are what is wrong with rows by column. ClickError: there is to be no bad row, or too many are.
        """
        bad = dict(table.misfits)
        for name, wrong in reasons.items():
            for row, reason in wrong.items():
                bad.setdefault(row, f"{name}: {reason}")
        for name, wrong in reasons.items():
            if name not in self.valued:
                self._count_values(file, table, name, wrong)
        for row, reason in sorted(bad.items()):
            self.add(file.path, table.lines[row], f"{_place(file, table, row)}: {reason}")
        self._hopeful |= len(bad) < len(table.lines)
        if not self._hopeful and self.count >= self.HOPELESS:
            first = next(iter(self.first.values()))
            raise ClickError(f"not one of the first {self.count:,} rows can be used; {first}")
        return list(bad)

    def add(self, path: Path, line: int, message: str) -> None:
        """A bad row. ClickError: there is to be none."""
        if self.strict:
            raise ClickError(message)
        if len(self.seen) < self.MOST:
            self.seen.add((path, line))
        if len(self.first) < _SHOWN:
            self.first.setdefault(f"{path}:{line}", message)

    def _count_values(self, file: ClickFile, table: Table, name: str, wrong: Mapping[int, str]) -> None:
        for row, reason in wrong.items():
            if row not in table.misfits and (file.path, table.lines[row]) not in self.seen:
                self._bad_values[name] += 1
                if self._bad_values[name] == self.HOPELESS:
                    raise ClickError(
                        f"column {name!r}: not one of its first {self.HOPELESS:,} values can be read; "
                        f"{_place(file, table, row)}: {reason}"
                    )


def _place(file: ClickFile, table: Table, row: int) -> str:
    return f"{file.name} {file.unit} {table.lines[row]}"
