"""Text is read in blocks of lines, and what a line is does not depend on where blocks end."""

import csv
import gzip
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from testing.clicks import CLICK_SPEC, lines, numbers, write_lines
from thimble.export.clicks import csv_files, formats
from thimble.export.clicks.criteo_lines import CriteoFile
from thimble.export.clicks.csv_files import CsvFile
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.folders import FoundFile
from thimble.export.clicks.lines import Lines
from thimble.export.clicks.rows import ClickError
from thimble.export.clicks.tables import ClickFile, Columns
from thimble.models.inputs import Feature

COLUMNS = Columns(None, [Feature("a", "string"), Feature("b", "string")])
TOKENS = ["a", "1", "", " ", "é", "\ufeff", "\0", "\x85", "\udcff", '"', '""', '"x"', '"x,y"', '"x""y"', "\r"]
TEXT = st.lists(st.sampled_from([*TOKENS, ",", "\t", ",", "\t", "\n", "\r\n", "\n\n"]), max_size=30).map("".join)
WHOLE = re.compile(r'("([^"]|"")*"|[^",\r]*)(,("([^"]|"")*"|[^",\r]*))*')
Row = tuple[int, list[str] | None]
"""The line of a row and its columns a and b, None if it has another number of columns."""


def read(file: ClickFile, start: int = 0, stop: int = 1000) -> list[Row]:
    found: list[Row] = []
    for piece in file.pieces(start, stop):
        table = piece()
        columns = [[value.decode("utf-8", "surrogateescape") for value in it.to_pylist()] for it in table.columns]
        values = dict(zip(table.fitting.tolist(), map(list, zip(*columns, strict=True)), strict=True))
        assert values.keys().isdisjoint(table.misfits) and len(values) + len(table.misfits) == len(table)
        found += [(line, values.get(row)) for row, line in enumerate(table.lines.tolist())]
    return found


def lines_in(body: bytes) -> list[str]:
    text = body.decode("utf-8-sig", "surrogateescape")
    return [line.removesuffix("\n").removesuffix("\r") for line in io.StringIO(text, "\n")]


def criteo_rows(body: bytes) -> list[Row]:
    """Line by line: a label, a and b."""
    rows = enumerate((line.split("\t") for line in lines_in(body)), 1)
    return [(number, row[1:] if len(row) == 3 else None) for number, row in rows]


def csv_rows(body: bytes) -> list[Row]:
    """Line by line: a and b after a header."""
    found: list[Row] = []
    for number, line in enumerate(lines_in(body), 1):
        if line and number > 1:
            row = next(csv.reader([line])) if WHOLE.fullmatch(line) else []
            found.append((number, row if len(row) == 2 else None))
    return found


FORMS: list[tuple[str, Callable[[FoundFile], ClickFile], Callable[[bytes], list[Row]]]] = [
    ("0\ta\tb\n", lambda file: CriteoFile(file, COLUMNS), criteo_rows),
    ("a,b\n", lambda file: CsvFile(file, COLUMNS, ","), csv_rows),
]


@pytest.mark.parametrize(("start", "open_file", "expected"), FORMS, ids=["criteo", "csv"])
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXT, block=st.integers(1, 40), piece=st.integers(1, 9), packed=st.booleans(), data=st.data())
@example(text="\r", block=1, piece=9, packed=False, data=None)
@example(text='x\t"\ty\n\ufeff1,2\n"1","2"\n', block=1, piece=9, packed=False, data=None)
def test_rows_are_those_of_the_lines_one_by_one(
    tmp_path: Path,
    start: str,
    open_file: Callable[[FoundFile], ClickFile],
    expected: Callable[[bytes], list[Row]],
    text: str,
    block: int,
    piece: int,
    packed: bool,
    data: st.DataObject | None,
) -> None:
    body = (start + text).encode("utf-8", "surrogateescape")
    path = tmp_path / "clicks"
    path.write_bytes(gzip.compress(body, 1) if packed else body)
    rows = expected(body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(formats, "_BLOCK", block)
        patch.setattr(formats, "_PIECE", piece)
        file = open_file(FoundFile(path, path.name, {}))
        assert read(file) == rows
        assert file.count() == len(rows)
        first = data.draw(st.integers(0, len(rows))) if data else 1
        assert read(file, first, first + 2) == rows[first : first + 2]


def test_what_is_before_the_damage_is_read(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "day_0.gz", lines(30_000))
    path.write_bytes(path.read_bytes()[:-9])
    source = FileClicks([path], CLICK_SPEC)
    blocks = source.blocks()
    read = numbers([next(blocks)])
    assert read == list(range(len(read))) and len(read) > 29_000
    with pytest.raises(ClickError, match=rf"^day_0\.gz: damaged after line {len(read)}: "):
        next(blocks)


@pytest.mark.parametrize("bad", ["nonsense", "", "1\tx\t1\t1\t1\ts", "\t1\t1\t1\t1\ts", '1\t1\t1\t1\t1\t"\udcff'])
def test_bad_lines_where_blocks_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: str) -> None:
    monkeypatch.setattr(formats, "_BLOCK", 200)
    rows = lines(200)
    places = {0, 1, 17, *range(40, 80), 150, 199}
    for i in places:
        rows[i] = bad
    source = FileClicks([write_lines(tmp_path / "day_0", rows)], CLICK_SPEC)
    good = [i for i in range(200) if i not in places]
    for size in (1, 7, 64, 1000):
        assert numbers(source.read(0, 200, size)) == good
    assert numbers(source.blocks()) == good
    assert {line - 1 for line in source.bad.seen[source.files[0]]} == places


def test_only_lines_that_may_be_bad_are_looked_at_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that bad ones cost hardly more than good ones. Those that are not UTF-8 are not even looked at so."""
    looked_at: list[bytes] = []

    class Watched(NamedTuple):
        rows: re.Pattern[bytes]

        def match(self, text: bytes, start: int) -> re.Match[bytes] | None:
            looked_at.append(text[start:])
            return self.rows.match(text, start)

    rows_of = csv_files._rows_of
    monkeypatch.setattr(csv_files, "_rows_of", lambda separator: Watched(rows_of(separator)))
    monkeypatch.delattr(Lines, "__getitem__")
    body = [b"%d,%d" % (i, i) for i in range(5000)]
    body[7::500] = [b'1"2,"'] * 10
    body[8::500] = [b"1,\xff"] * 10
    body[9::500] = [b""] * 10
    body[10::500] = [b"1,\xff,1"] * 10
    path = tmp_path / "clicks.csv"
    path.write_bytes(b"a,b\n" + b"\n".join(body))
    rows = read(CsvFile(FoundFile(path, path.name, {}), COLUMNS, ","), 0, 5000)
    assert looked_at == [b'1"2,"\n' * (10 - i) for i in range(11)]
    assert len(rows) == 4990 and sum(values is None for _, values in rows) == 20
    assert rows[-1] == (5001, ["4999", "4999"])
