"""What a click file is, told by its first bytes whatever it is called, and its text, unpacked on the way."""

import bz2
import codecs
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

from thimble.export.clicks.rows import ClickError

TypedForm = Literal["parquet", "arrow", "criteo"]

Block = tuple[int, bytes]
"""Some whole lines, and the number of the first."""

DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError, zipfile.BadZipFile)
"""What unpacking a damaged file raises, beside an OSError without a number."""

ARROW_FILE = b"ARROW1\0\0"
"""What an Arrow file begins with; a stream begins with the mark of a message."""

_NUMPY = b"\x93NUMPY"
_LONGEST_LINE = 1 << 20  # bytes
_BLOCK = 1 << 21  # bytes that are handed on together, at least as many as the longest line has
_PIECE = 1 << 16  # bytes that are read at a time at most
_HEAD = 512
_TYPED: list[tuple[TypedForm, tuple[bytes, ...], tuple[str, ...]]] = [
    ("parquet", (b"PAR1",), (".parquet", ".parq", ".pq")),
    ("arrow", (ARROW_FILE, b"\xff\xff\xff\xff"), (".arrow", ".arrows", ".feather", ".ipc")),
    ("criteo", (b"\0\0\0\0", b"\1\0\0\0"), ()),  # the label of the first row
]
"""Forms of typed columns, the first bytes of their files, and what the names of these end in."""

_CONVERT, _UNPACK, _UTF8 = "convert it to Parquet or CSV", "unpack it", "save it as UTF-8 (iconv -f UTF-16 -t UTF-8)"
_BINARY = rb".{0,16}[\x00-\x08\x0e-\x1f]"  # soon after what text could begin with as well
_OTHERS = [
    (re.compile(magic, re.DOTALL), what, remedy)
    for magic, what, remedy in (
        (rb"PARE" + _BINARY, "encrypted Parquet", "decrypt it"),
        (rb"ORC" + _BINARY, "ORC", _CONVERT),
        (rb"Obj\x01", "Avro", _CONVERT),
        (rb"FEA1" + _BINARY, "Feather version 1", _CONVERT),
        (rb"\x89HDF", "HDF5", _CONVERT),
        (_NUMPY, "NumPy that is not called *_dense.npy, *_sparse.npy or *_labels.npy", _CONVERT),
        (rb"\x80[\x02-\x05]", "a pickle", _CONVERT),
        (rb"SQLite format 3\0", "SQLite", _CONVERT),
        (rb"(?:\xef\xbb\xbf)?+[ \r\n]*+\[?+[ \r\n]*+\{", "JSON", _CONVERT),
        (rb"\xff\xfe|\xfe\xff", "UTF-16", _UTF8),
        (rb".{257}ustar", "a tar archive", _UNPACK),
        (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
        (rb"\x04\x22\x4d\x18", "LZ4", _UNPACK),
    )
]


def typed_form(path: Path) -> TypedForm | None:
    """Which form of typed columns a file has, by its first bytes, or else by its name, so that damage is called so."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    by_content = next((form for form, magics, _ in _TYPED if head.startswith(magics)), None)
    if by_content or _other(head):
        return by_content
    return next((form for form, _, names in _TYPED if path.suffix.lower() in names), None)


@contextmanager
def open_blocks(path: Path, ends: bytes) -> Iterator[Iterator[Block]]:
    """The text of a file, plain or packed, in blocks. ClickError: it is of another format.

    `ends` are the bytes that end a line. Excel starts its UTF-8 with a byte order mark, which would stick to the first
    column's name; it is left out. Where a damaged file ends, the lines before that come first, and then the error.

    Reading raises ClickError at a line that is too long, lest memory grow with it, and where carriage returns alone end
    the lines and are not among the `ends`.
    """
    with _unpacked(path) as file:
        head = file.peek(_HEAD)
        if other := _other(head):
            raise ClickError(other)
        if head.startswith(codecs.BOM_UTF8):
            file.read(len(codecs.BOM_UTF8))
        yield _blocks(file, ends)


def is_numpy(path: Path) -> bool:
    """Whether a file is there that begins as NumPy's do."""
    try:
        with path.open("rb") as file:
            return file.read(len(_NUMPY)) == _NUMPY
    except OSError:
        return False  # whoever reads it says what is wrong


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
            if _unpacker(head) or any(head.startswith(magics) for _, magics, _ in _TYPED):
                raise ClickError(f"what is packed in it is not text; {_UNPACK} first")
        yield file


def _blocks(file: Any, ends: bytes) -> Iterator[Block]:
    block, whole, lines = bytearray(), 0, 0  # of the block's bytes the first `whole` are whole lines
    piece, failure = b"", None
    while not failure:
        try:
            piece = file.read1(_PIECE)
        except (OSError, *DAMAGE) as error:
            failure = error
        piece = b"" if failure else piece
        block += piece
        whole = max(whole, _last_end(block, len(block) - len(piece), ends))
        too_long = len(block) - whole > _LONGEST_LINE
        if (too_long or not piece) and not lines and not whole and b"\r" in block and b"\r" not in ends:
            raise ClickError("its lines end in carriage returns alone; convert them to line feeds")
        if too_long:
            raise ClickError(f"line {lines + _count(block, ends) + 1} is longer than {_LONGEST_LINE:,} bytes")
        if len(block) >= _BLOCK or not piece:
            whole = whole if piece or failure else len(block)
            if whole:
                text = bytes(memoryview(block)[:whole])
                yield lines + 1, text
                lines += _count(text, ends)
            del block[:whole]
            whole = 0
        if not piece:
            break
    if failure:
        raise failure


def _last_end(block: bytearray, start: int, ends: bytes) -> int:
    """Where the last line ends that ends after `start`, 0 if none does."""
    end = block.rfind(b"\n", start)
    if b"\r" in ends:  # one at the very end may be followed by the line feed that belongs to it
        end = max(end, block.rfind(b"\r", max(0, start - 1), -1))
    return end + 1


def _count(block: bytes | bytearray, ends: bytes) -> int:
    """Line ends in it."""
    returns = block.count(b"\r") - block.count(b"\r\n") if b"\r" in ends else 0
    return block.count(b"\n") + returns


def _other(head: bytes) -> str | None:
    """What is said of a file that is read in no form."""
    return next((f"{what} is not read; {remedy}" for magic, what, remedy in _OTHERS if magic.match(head)), None)


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
