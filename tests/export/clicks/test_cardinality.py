from pathlib import Path

import numpy as np
import pytest

from testing.samples import small_spec
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.rows import Rows
from thimble.export.clicks.survey import survey


def test_few_ids_are_counted_exactly_and_many_nearly(tmp_path: Path) -> None:
    spec = small_spec(dense=1, kinds=("int", "hex", "string", "int"))
    random = np.random.default_rng(0)
    rows = 20_000
    columns = [np.arange(rows), random.integers(0, 256, rows), random.integers(0, 3000, rows), np.zeros(rows, np.int64)]
    path = tmp_path / "clicks"
    lines = (f"0\t1\t{i}\t{h:x}\tword {s}\t{z}" for i, h, s, z in zip(*columns, strict=True))
    path.write_text("\n".join(lines) + "\nnonsense\n")
    counts = [*survey(Rows(FileClicks([path], spec), 0, rows + 1), spec).ids.values()]
    assert counts[0] == pytest.approx(rows, rel=0.005)
    assert counts[1:] == [256, pytest.approx(len(np.unique(columns[2])), abs=3), 1]
