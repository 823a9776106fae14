"""Expected scores that are none, or not those of the model: one sentence, and nothing is written."""

from pathlib import Path

import pytest
import torch

from tests.export.conftest import Run
from tests.export.importing.reference import (
    FIELDS,
    facebook,
    made_dlrm,
    made_rows,
    row,
    save,
    write_expected,
    write_features,
)
from thimble.export.importing.importer import Said, read_model


@pytest.mark.parametrize(
    ("expected", "sentence"),
    [
        ("", "expected.csv has no column I1; it takes the model's features and score"),
        ("I1,I2,I3,C1,C2,C3,C4,score\n", "expected.csv has no rows below its header"),
        (row("1,2,3,1,1,1,1", "1.5"), "expected.csv: row 1: the score '1.5' is no probability, from 0 to 1"),
        (row("1,2,3,1,1,1,1", "nan"), "expected.csv: row 1: the score 'nan' is no probability, from 0 to 1"),
        (row("1,2,3,1,1,1,1", ""), "expected.csv: row 1: the score '' is no probability, from 0 to 1"),
        (row("1,x,3,1,1,1,1"), "expected.csv: row 1: I2: 'x' is not a finite number"),
        (row("1,2,3,1,1,1"), "expected.csv: row 1 has 7 values for 8 columns"),
        (row("1,2,3,1,1,1,1,1", header="I1,I2,I3,C1,C2,C3,C4,C2,score"), "expected.csv has two columns C2"),
    ],
)
def test_scores_that_are_expected_and_are_none_or_not_so(
    run: Run, tmp_path: Path, expected: str, sentence: str
) -> None:
    save(facebook(made_dlrm()))
    Path("expected.csv").write_text(expected)
    features = write_features(tmp_path / "f.yaml", FIELDS)

    said = run("import", "model.pt", "--format", "facebook", "--features", features, "--expect", "expected.csv")

    assert said.status == 1 and sentence in said.err and said.err.count("\n") == 1
    assert not [*tmp_path.glob("artifacts/*/*/*")]


def test_other_preprocessing_than_in_training_is_found_out(run: Run, tmp_path: Path) -> None:
    dlrm = made_dlrm()
    save(facebook(dlrm))
    numbers, ids = made_rows(dlrm, 5000)
    numbers = numbers.abs()
    scores = dlrm.scores(torch.log1p(numbers), dlrm.embeddings(ids))
    expected = write_expected(tmp_path / "expected.csv", numbers, ids, scores)
    features = write_features(tmp_path / "f.yaml", FIELDS)

    wrong = run("import", "model.pt", "--format", "facebook", "--expect", expected, "--features", features)

    assert wrong.status == 1 and "something said of the features is not as it was in training" in wrong.err
    assert " and the imported model gives it " in wrong.err and " of 5,000 differ by more than 1e-05" in wrong.err
    assert not [*tmp_path.glob("artifacts/*/*/*")]
    said = Said(write_features(features, FIELDS, "numbers: log\nids: rows\n"))
    log = read_model(Path("model.pt"), "facebook", said, "model").spec.dense_transform.apply(numbers.numpy())
    assert log == pytest.approx(torch.log1p(numbers).numpy(), abs=1e-6)


def test_a_feature_called_score_leaves_no_column_for_scores(run: Run, tmp_path: Path) -> None:
    save(facebook(made_dlrm()))
    Path("expected.csv").write_text(row("1,2,3,1,1,1", header="I1,I2,I3,C1,C2,C3,score"))
    features = write_features(tmp_path / "f.yaml", [*FIELDS[:3], "score"])
    said = run("import", "model.pt", "--format", "facebook", "--features", features, "--expect", "expected.csv")
    assert said.status == 1 and "expected.csv: the model has a feature score" in said.err
