"""The files that are meant by files and folders, and the columns that the names of folders give (`day=1`)."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from thimble.export.clicks.formats import is_empty, is_numpy
from thimble.export.clicks.rows import ClickError

_MISSING_PARTITION = "__HIVE_DEFAULT_PARTITION__"
_NUMPY_PARTS = ("dense", "sparse", "labels")
_NUMPY = re.compile(rf"(.+)_(?:{'|'.join(_NUMPY_PARTS)})\.npy")
_TABLES = {"_delta_log": "Delta", ".hoodie": "Hudi"}


class FoundFile(NamedTuple):
    """A click file, what messages call it, and the columns that its folders' names give, blank where missing.

    `others` belong to it.
    """

    path: Path
    name: str
    given: dict[str, str]
    others: tuple[Path, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.path, *self.others)


class Found(NamedTuple):
    """Files in the order in which they are read, and the names of what was passed over."""

    files: list[FoundFile]
    passed_over: list[str]


def find(paths: Sequence[Path]) -> Found:
    """The files meant by files and folders, a folder's in natural order (day_2 before day_10).

    Nothing is read twice. ClickError: there is none, or something cannot be read.
    """
    files: list[Path] = []
    passed_over: list[str] = []
    seen: set[str] = set()
    for path in paths:
        if os.path.realpath(path) in seen:
            passed_over.append(str(path))
        elif path.is_dir():
            inside, others = _inside(path, seen)
            files += sorted(inside, key=_natural)
            passed_over += sorted(str(other.relative_to(path)) for other in others)
        elif path.is_file():
            seen.add(os.path.realpath(path))
            files.append(path)
        elif path.exists():
            raise ClickError(f"{path}: a pipe, a socket or a device, which is read but once; write it to a file first")
        else:
            raise ClickError(f"{path}: no such file or folder")
    if not files:
        raise ClickError(f"no click files in {', '.join(map(str, paths))}")
    base = os.path.commonpath([file.absolute().parent for file in files])
    return Found([_found(paths, base) for paths in dict.fromkeys(map(_together, files))], passed_over)


def _together(file: Path) -> tuple[Path, ...]:
    """A file, or the three of which it is one, if any of them is NumPy's. ClickError: another of them is not there."""
    match = _NUMPY.fullmatch(file.name)
    if match is None:
        return (file,)
    three = tuple(file.with_name(f"{match[1]}_{part}.npy") for part in _NUMPY_PARTS)
    if not any(map(is_numpy, three)):
        return (file,)
    for path in three:
        if not path.is_file():
            raise ClickError(f"{path}: no such file, and {file.name} is read only beside it")
    return three


def _found(paths: Sequence[Path], base: str) -> FoundFile:
    first, *others = paths
    name = os.path.relpath(first, base)
    name = f"{name.removesuffix('_dense.npy')}_*.npy" if others else name
    return FoundFile(first, name, _partitions(first), (*others,))


def _partitions(path: Path) -> dict[str, str]:
    """The columns that folders called `key=value` give, as Hive and Spark write them, wherever it is named from."""
    columns = {}
    for folder in Path(os.path.normpath(path.absolute())).parts[:-1]:
        key, equals, value = folder.partition("=")
        if key and equals:
            text = unquote(value, errors="surrogateescape")
            columns[unquote(key, errors="surrogateescape")] = "" if value == _MISSING_PARTITION else text
    return columns


def _inside(root: Path, seen: set[str]) -> tuple[list[Path], list[Path]]:
    """The files below a folder, and what is passed over there.

    Links are followed last, and not to what has been `seen`: so nothing is read twice, and circles have an end.
    """
    files: list[Path] = []
    passed_over: list[Path] = []
    links: list[Path] = []
    entries = [root]
    while entries or links:
        entry = entries.pop() if entries else links.pop(0)
        real = os.path.realpath(entry)
        if real in seen:
            passed_over.append(entry)
        elif entry.is_dir():
            for child in _children(entry):
                if _is_hidden(child.name):
                    passed_over.append(child)
                else:
                    (links if child.is_symlink() else entries).append(child)
        elif not entry.is_file():
            raise ClickError(f"{entry}: neither a file nor a folder")
        else:
            (passed_over if is_empty(entry) else files).append(entry)
        seen.add(real)
    return files, passed_over


def _children(folder: Path) -> list[Path]:
    try:
        children = sorted(folder.iterdir())
    except OSError as error:
        raise ClickError(f"{folder}: {error.strerror}") from None
    for child in children:
        if child.name in _TABLES:
            kind = _TABLES[child.name]
            raise ClickError(f"{folder}: a {kind} table, whose folder also holds rows deleted from it; export it first")
    return children


def _is_hidden(name: str) -> bool:
    """Whether it is a note (_SUCCESS, _metadata) or a checksum (.part.crc), which Spark passes over as well."""
    return name.startswith(".") or (name.startswith("_") and "=" not in name) or name.endswith(".crc")


def _natural(path: Path) -> tuple[list[list[int | str]], str]:
    parts = [re.split(r"(\d+)", part) for part in path.parts]
    return [[int(text) if text.isdecimal() else text for text in part] for part in parts], str(path)
