"""What the scripts that make checkpoints share: the sizes of their models, rows, and the files beside a checkpoint.

They run where the project's own code does, so they need torch and numpy, and nothing of ours.
"""

import csv
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

TABLE_ROWS = [400, 50, 300, 120, 75]
NUMBERS = 4
DIM = 8
SCORED_ROWS = 1000
DENSE = [f"I{i + 1}" for i in range(NUMBERS)]
FIELDS = [f"C{i + 1}" for i in range(len(TABLE_ROWS))]
CHECKPOINT = "checkpoint"

Array = npt.NDArray[Any]


class Variant(NamedTuple):
    """A model of a project: what its own code is asked for, what `import` is, and what of the code is not its own."""

    asked: Any = None
    options: tuple[str, ...] = ()
    made_by: str = "its own code"


class Scores(NamedTuple):
    """What the project's code says of the rows, [rows] each: in float32, as it runs there, and in float64."""

    single: Array
    double: Array


class ScoredRows(NamedTuple):
    """Numbers [rows, numbers] as the model takes them, and ids [rows, fields], which are rows of tables."""

    numbers: Array
    ids: Array

    def columns(self) -> dict[str, list[Any]]:
        """By feature."""
        numbers = dict(zip(DENSE, self.numbers.T.astype(np.float64).tolist(), strict=False))
        return numbers | dict(zip(FIELDS, self.ids.T.tolist(), strict=True))


def scored_rows(table_rows: Sequence[int] = TABLE_ROWS) -> ScoredRows:
    """Rows to score, with the first and the last row of every table. Numbers are like logarithms of counts."""
    random = np.random.default_rng(7)
    numbers = np.log1p(random.integers(0, 300, (SCORED_ROWS, NUMBERS))).astype(np.float32)
    ids = np.stack([random.integers(0, rows, SCORED_ROWS) for rows in table_rows], axis=1)
    ids[0], ids[1] = 0, [rows - 1 for rows in table_rows]
    return ScoredRows(numbers, ids)


def stir(tensors: Mapping[str, Tensor], large: str, small: str = "no key") -> None:
    """Draw those anew whose keys have one of two patterns: a few steps of training leave all rows with one score."""
    torch.manual_seed(3)
    for key, tensor in tensors.items():
        if re.search(large, key):
            tensor.normal_(0, 0.6)
        elif re.search(small, key):
            tensor.normal_(0, 0.3)


def write_rows(
    folder: Path, columns: Mapping[str, Sequence[Any]], scores: Scores, features: dict[str, Any] | None = None
) -> None:
    """Write expect.csv, features.yaml and the scores in float32. Without `features`, ids are rows of tables."""
    with (folder / "expect.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*columns, "score"])
        writer.writerows(zip(*columns.values(), scores.double.tolist(), strict=True))
    write_features(folder, features or row_numbers([name for name in DENSE if name in columns]))
    np.save(folder / "single.npy", scores.single.astype(np.float64))


def row_numbers(dense: Sequence[str] = DENSE) -> dict[str, Any]:
    """What `import` is told of numbers as the model takes them and of ids that are rows."""
    return {"dense": list(dense), "numbers": "none", "fields": FIELDS, "ids": "rows"}


def write_features(folder: Path, features: dict[str, Any]) -> None:
    """Write features.yaml: JSON is YAML."""
    (folder / "features.yaml").write_text(json.dumps(features))
