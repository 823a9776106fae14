"""The pair that is built in: full tables, and the same model with one shared array 10,000 times smaller."""

from collections.abc import Iterator
from pathlib import Path

from thimble.loadtests.compare.comparison import Name, Settings
from thimble.loadtests.compare.deployments import Artifact, export_untrained

COMPRESSION = 10_000
SMALLER = 4
"""The second size, which with the first makes a line to be drawn on, is so many times smaller."""
ROWS_AND_DIMENSION = {"criteo-kaggle": (33_762_577, 16), "criteo-tb": (187_767_399, 128)}
FLOAT_BYTES = 4
LEAST_MEMORY = 1024


def tables(settings: Settings, divisor: int = 1) -> tuple[int, int]:
    """Rows of the full tables in all, about, and what they weigh, bytes."""
    assert settings.tables
    rows, dimension = ROWS_AND_DIMENSION[settings.tables]
    rows = (settings.table_rows or rows) // divisor
    return rows, rows * dimension * FLOAT_BYTES


def exported(settings: Settings, folder: Path, divisor: int = 1) -> Iterator[tuple[Name, Artifact]]:
    """Untrained models of both kinds, A with full tables."""
    rows, size = tables(settings, divisor)
    whole = divisor == 1 and settings.table_rows is None
    common = [
        *("--preset", str(settings.tables), "--seed", str(settings.traffic.seed)),
        *([] if whole else ["--table-rows", str(rows)]),
    ]
    memory = str(max(size // COMPRESSION, LEAST_MEMORY))
    yield "A", export_untrained(folder / "full", [*common, "--scheme", "full", "--name", "full"])
    yield "B", export_untrained(folder / "compressed", [*common, "--memory", memory, "--name", "compressed"])
