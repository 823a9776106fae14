"""The pair that is built in: full tables, and the same model with one shared array 10,000 times smaller."""

from collections.abc import Iterator
from pathlib import Path

from thimble.loadtests.compare.deployments import VersionFolder, export_untrained
from thimble.loadtests.results.comparison import Name, Settings
from thimble.models.base import FLOAT_BYTES
from thimble.models.presets import preset

COMPRESSION = 10_000
SMALLER = 4
"""The second size, which with the first makes a line to be drawn on, is so many times smaller."""
PRESETS = ("criteo-kaggle", "criteo-tb", "criteo-tb-v2")
LEAST_MEMORY = 1024


def tables(settings: Settings, divisor: int = 1) -> tuple[int, int]:
    """Rows of the full tables in all, about, and what they weigh, bytes."""
    assert settings.tables
    spec = preset(settings.tables)
    rows = (settings.table_rows or sum(field.rows for field in spec.fields)) // divisor
    return rows, rows * spec.embedding_dim * FLOAT_BYTES


def exported(settings: Settings, folder: Path, divisor: int = 1) -> Iterator[tuple[Name, VersionFolder]]:
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
