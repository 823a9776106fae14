"""Files that kept a share of the rows that were not clicked, from the command line."""

import random
from pathlib import Path

import pytest

from testing.samples import write_csv
from tests.export.conftest import Run, Said
from tests.export.test_cli import refused

COLUMNS = ["--label", "clicked", "--dense", "age,price", "--string", "city,shop"]
SMALL = ["--memory", "4000", "--batch-size", "64", "--dense-lr", "0.003", "--epochs", "3"]
KEPT = 0.2


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """log.csv, and sampled.csv with a share of its negatives."""
    header, *rows = write_csv(tmp_path / "log.csv", 4000).read_text().splitlines()
    draw = random.Random(0)
    kept = [row for row in rows if row.startswith("1") or draw.random() < KEPT]
    (tmp_path / "sampled.csv").write_text("\n".join([header, *kept]) + "\n")
    return tmp_path / "log.csv"


def base_rate(said: Said) -> float:
    assert said.status == 0, said.err
    return float(said.out.split("base rate ")[1].split(",")[0])


def test_files_with_a_share_of_the_negatives(run: Run, log: Path, tmp_path: Path) -> None:
    options = ["--negatives-kept", KEPT, "--platt", "--validation-share", "0.3", "--name", "shop"]
    trained = run("train", "sampled.csv", *COLUMNS, *SMALL, *options)
    assert "Platt scaling: slope " in trained.out
    assert run("export", "runs/shop").status == 0
    artifact = tmp_path / "artifacts" / "shop" / "1" / "model.onnx"
    full = run("evaluate", artifact, "log.csv", "--label", "clicked")
    weighed = run("evaluate", artifact, "sampled.csv", "--label", "clicked", "--negatives-kept", KEPT)
    as_it_is = run("evaluate", artifact, "sampled.csv", "--label", "clicked")
    assert base_rate(weighed) == pytest.approx(base_rate(full), rel=0.03)
    assert base_rate(trained) == pytest.approx(base_rate(full), rel=0.35)  # of few rows
    assert base_rate(as_it_is) > 2 * base_rate(full)

    scored = run("score", artifact, "log.csv", "--output", "scores.csv")
    assert scored.status == 0, scored.err
    scores = [float(line) for line in (tmp_path / "scores.csv").read_text().splitlines()[1:]]
    assert sum(scores) / len(scores) == pytest.approx(base_rate(full), rel=0.2)

    inspected = run("inspect", artifact).out
    assert "negatives kept     0.2, which scores and metrics make up for" in inspected
    assert "Platt scaling      slope " in inspected


@pytest.mark.parametrize("share", ["0", "-0.1", "1.01", "nan", "inf"])
def test_what_is_no_share_is_refused(run: Run, share: str) -> None:
    for command in (["train"], ["evaluate", "model.onnx"]):
        said = run(*command, "log.csv", "--negatives-kept", share)
        refused(said, "--negatives-kept is a share of the negatives, above 0 and at most 1, not")


def test_there_have_to_be_rows_to_scale_by(run: Run, log: Path) -> None:
    said = run("train", "sampled.csv", *COLUMNS, *SMALL, "--platt", "--validation-share", "0")
    refused(said, "--platt needs validation rows to fit the scores to, and there are none")


def test_generated_clicks_are_all_there(run: Run) -> None:
    said = run("train", "--generate", "1000", "--preset", "demo", "--negatives-kept", "0.5")
    refused(said, "--generate makes all rows anew; --from and --negatives-kept are for click files")
