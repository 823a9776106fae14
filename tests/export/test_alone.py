"""Models of ids alone and of numbers alone, from click files to scored files."""

import json
from pathlib import Path

import numpy as np
import pytest

from testing.samples import small_spec
from tests.export.conftest import Run
from thimble.export.clicks.file_rows import FileRows
from thimble.models.inputs import Categorical

ROWS = 1500
USER = Categorical(name="user", kind="int", rows=30)
SMALL = ["--label", "clicked", "--batch-size", "64", "--epochs", "2", "--embedding-dim", "8", "--over-arch", "16,8"]


@pytest.fixture(autouse=True)
def clicks(tmp_path: Path) -> None:
    """Users of whom every third clicks, more often in a shop of an odd number; and numbers that say as much.

    `ids.tsv` and `user.tsv` have the same in Criteo's form, without a header.
    """
    random = np.random.default_rng(0)
    user, shop, noise = random.integers(1, 30, ROWS), random.integers(1, 10, ROWS), random.random(ROWS)
    clicked = (noise < 0.1 + 0.6 * (user % 3 == 0) + 0.2 * (shop % 2)).astype(int)
    rows = [(str(c), str(u), f"shop {s}") for c, u, s in zip(clicked, user, shop, strict=True)]
    files = {
        "ids.csv": ["clicked,user,shop", *map(",".join, rows)],
        "ids.tsv": map("\t".join, rows),
        "shops.tsv": ("\t".join(row[1:]) for row in rows),
        "user.csv": ["user", *(row[1] for row in rows)],
        "user.tsv": (row[1] for row in rows),
        "numbers.csv": [
            "clicked,third,odd",
            *(f"{c},{u % 3},{s % 2}" for c, u, s in zip(clicked, user, shop, strict=True)),
        ],
    }
    for name, lines in files.items():
        (tmp_path / name).write_text("\n".join([*lines, ""]))


def auc(out: str) -> float:
    return float(out.split("AUC ")[1].split()[0])


def scores(path: Path) -> list[str]:
    header, *found = path.read_text().splitlines()
    assert header == "score" and len(found) == ROWS and all(found)
    return found


def test_ids_alone_are_learnt_from_and_scored(run: Run, tmp_path: Path) -> None:
    options = ["--int", "user", "--string", "shop", "--memory", "4000"]
    trained = run("train", "ids.csv", *SMALL, *options, "--name", "ids")
    assert trained.status == 0, trained.err
    assert auc(trained.out) > 0.6  # of 150 rows
    exported = run("export", "runs/ids", "--precision", "int8")
    assert exported.status == 0, exported.err
    artifact = "artifacts/ids/1/model.onnx"
    inspected = run("inspect", artifact).out
    assert (
        "0 dense, 2 fields (1 int, 1 string)\nembedding " in inspected and "\nMLPs               16 8 1\n" in inspected
    )
    labelled = run("evaluate", artifact, "ids.csv", "--label", "clicked")
    assert labelled.status == 0 and auc(labelled.out) > 0.72
    assert run("evaluate", artifact, "ids.tsv").out == labelled.out
    assert run("score", artifact, "ids.csv", "--output", "csv.csv").status == 0
    lines = run("score", artifact, "shops.tsv", "--output", "tsv.csv")  # whose first line is words alone, and no header
    assert lines.status == 0, lines.err
    assert scores(tmp_path / "csv.csv") == scores(tmp_path / "tsv.csv")


@pytest.mark.parametrize("name", ["user.csv", "user.tsv"])
def test_a_file_may_have_a_single_column(tmp_path: Path, name: str) -> None:
    rows = FileRows([tmp_path / name], small_spec(dense=0, kinds=("int",)).model_copy(update={"fields": [USER]}))
    assert sum(part.batch.rows for part in rows.read()) == ROWS and not rows.bad.count
    assert next(rows.read()).batch.ids[:3].ravel().tolist() == [25, 19, 15]


def test_numbers_alone_are_learnt_from_and_scored(run: Run, tmp_path: Path) -> None:
    trained = run("train", "numbers.csv", *SMALL, "--dense", "third,odd", "--name", "numbers")
    assert trained.status == 0, trained.err
    assert auc(trained.out) > 0.6  # of 150 rows
    exported = run("export", "runs/numbers", "--precision", "int8")
    assert exported.status == 0, exported.err
    assert "lookups" not in exported.out
    artifact = "artifacts/numbers/1/model.onnx"
    inspected = run("inspect", artifact).out
    assert "2 dense, 0 fields\nnumbers " in inspected and "\nembedding" not in inspected
    described = json.loads(run("inspect", "--json", artifact).out)
    assert described["embedding"] == {"scheme": "none", "version": 1}
    assert (described["embedding_bytes"], described["compression"]) == (0, 1)
    assert auc(run("evaluate", artifact, "numbers.csv", "--label", "clicked").out) > 0.72
    assert run("score", artifact, "numbers.csv", "--output", "scores.csv").status == 0
    scores(tmp_path / "scores.csv")
