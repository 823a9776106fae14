"""What a click file is, told by its first bytes whatever it is called, and its text, unpacked on the way."""

import bz2
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, Any

from thimble.export.clicks.rows import ClickError

DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError, zipfile.BadZipFile)
"""What unpacking a damaged file raises, beside an OSError without a number."""

_LONGEST_LINE = 1 << 20  # characters; a thousand lines are held at a time
_BLOCK = 1 << 13  # characters; what is read of it is lost where a damaged file ends
_HEAD = 512
_PARQUET = b"PAR1"
_PARQUET_NAMES = (".parquet", ".parq", ".pq")
_CONVERT, _UNPACK, _UTF8 = "convert it to Parquet or CSV", "unpack it", "save it as UTF-8 (iconv -f UTF-16 -t UTF-8)"
_BINARY = rb".{0,16}[\x00-\x08\x0e-\x1f]"  # soon after what text could begin with as well
_OTHERS = [
    (re.compile(magic, re.DOTALL), what, remedy)
    for magic, what, remedy in (
        (rb"PARE" + _BINARY, "encrypted Parquet", "decrypt it"),
        (rb"ORC" + _BINARY, "ORC", _CONVERT),
        (rb"Obj\x01", "Avro", _CONVERT),
        (rb"ARROW1\0|FEA1" + _BINARY, "Arrow (Feather)", _CONVERT),
        (rb"\x89HDF", "HDF5", _CONVERT),
        (rb"\x93NUMPY", "NumPy", _CONVERT),
        (rb"\x80[\x02-\x05]", "a pickle", _CONVERT),
        (rb"SQLite format 3\0", "SQLite", _CONVERT),
        (rb"(?:\xef\xbb\xbf)?[ \r\n]*\[?[ \r\n]*\{", "JSON", _CONVERT),
        (rb"\xff\xfe|\xfe\xff", "UTF-16", _UTF8),
        (rb".{257}ustar", "a tar archive", _UNPACK),
        (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
        (rb"\x04\x22\x4d\x18", "LZ4", _UNPACK),
    )
]


def is_parquet(path: Path) -> bool:
    """By its first bytes, or else by its name, so that a damaged one is called so."""
    with path.open("rb") as file:
        return file.read(len(_PARQUET)) == _PARQUET or path.suffix.lower() in _PARQUET_NAMES


@contextmanager
def open_text(path: Path, newline: str) -> Iterator[Iterator[str]]:
    """The lines of a file, plain or packed. ClickError: it is of another format, which the message names.

    Undecodable bytes become surrogates, which no feature accepts: the line is reported, not the whole file. Excel
    starts its UTF-8 with a byte order mark, which would stick to the first column's name.

    Reading raises ClickError at a line that is too long, lest memory grow with it, and where carriage returns alone end
    the lines of a file whose `newline` is another.
    """
    with _unpacked(path) as file:
        head = file.peek(_HEAD)
        for magic, what, remedy in _OTHERS:
            if magic.match(head):
                raise ClickError(f"{what} is not read; {remedy}")
        with io.TextIOWrapper(file, "utf-8-sig", "surrogateescape", newline) as text:
            yield chain.from_iterable(_lines(text, newline))


def is_empty(path: Path) -> bool:
    """Whether there is nothing in a file, or nothing in what is packed in it."""
    try:
        with _unpacked(path) as file:
            return not file.peek(1)
    except (ClickError, OSError, *DAMAGE):
        return False  # whoever reads it says what is wrong


@contextmanager
def _unpacked(path: Path) -> Iterator[Any]:
    with ExitStack() as opened:
        file: Any = opened.enter_context(path.open("rb"))
        unpack = _unpacker(file.peek(_HEAD))
        if unpack:
            file = opened.enter_context(unpack(file))
            head = file.peek(_HEAD)
            if head.startswith(_PARQUET) or _unpacker(head):
                raise ClickError(f"what is packed in it is Parquet or packed again; {_UNPACK} first")
        yield file


def _lines(text: IO[str], newline: str) -> Iterator[list[str]]:
    """The lines of text, many at a time: looking at each by itself as it is read would cost as much as reading it."""
    number = 0
    while block := text.read(_BLOCK):
        block += text.readline(_LONGEST_LINE + 1)  # the rest of its last line
        if newline and not number and "\r" in block and "\n" not in block:
            raise ClickError("its lines end in carriage returns alone; convert them to line feeds")
        lines = io.StringIO(block, newline).readlines()
        number += len(lines)
        if len(lines[-1]) > _LONGEST_LINE:
            raise ClickError(f"line {number} is longer than {_LONGEST_LINE:,} characters")
        yield lines


def _unpacker(head: bytes) -> Callable[[Any], Any] | None:
    return next((unpack for magic, unpack in _PACKED if re.match(magic, head)), None)


def _zstd(file: Any) -> Any:
    import pyarrow as pa  # slow to import and seldom needed

    return io.BufferedReader(pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd"))


def _only_member(file: Any) -> Any:
    archive = zipfile.ZipFile(file)
    members = [it for it in archive.infolist() if not it.is_dir() and not it.filename.startswith("__MACOSX/")]
    if any(member.filename == "[Content_Types].xml" for member in members):
        raise ClickError("an Office document is not read; save it as CSV")
    if len(members) != 1:
        raise ClickError(f"a zip archive of {len(members)} files is not read; {_UNPACK} into a folder")
    if members[0].flag_bits & 1:
        raise ClickError(f"an encrypted zip archive is not read; {_UNPACK}")
    try:
        return archive.open(members[0])
    except NotImplementedError as error:  # Windows packs what is large by a method of its own
        raise ClickError(f"the zip archive is not read ({error}); {_UNPACK}") from None


_PACKED: list[tuple[bytes, Callable[[Any], Any]]] = [
    (rb"\x1f\x8b", gzip.open),
    (rb"BZh[1-9]", bz2.open),
    (rb"\xfd7zXZ\x00", lzma.open),
    (rb"\x28\xb5\x2f\xfd", _zstd),
    (rb"PK\x03\x04", _only_member),
]
