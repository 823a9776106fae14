"""Files of clicks of a small model, and what is read from them."""

import gzip
from collections.abc import Iterable
from pathlib import Path

from testing.samples import small_spec
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.rows import Clicks

CLICK_SPEC = small_spec(dense=2, kinds=("int", "hex", "string"))


def lines(count: int, first: int = 0) -> list[str]:
    """Criteo lines of CLICK_SPEC whose int id is the row's number."""
    return [f"{i % 2}\t{i}\t{'' if i % 3 else -i}\t{i}\t{i:x}\ts{i}" for i in range(first, first + count)]


def write_lines(path: Path, rows: list[str]) -> Path:
    text = "".join(f"{row}\n" for row in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode("utf-8", "surrogateescape")))
    else:
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return path


def numbers(parts: Iterable[Clicks]) -> list[int]:
    return [int(value) for part in parts for value in part.batch.ids[:, 0]]


def everything(source: FileClicks) -> Clicks:
    (clicks,) = source.read(0, source.count(), 1_000_000)
    return clicks
