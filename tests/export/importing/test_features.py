"""What is said of a checkpoint's features: names as they are written, and a sentence for what cannot be."""

from pathlib import Path

import pytest

from thimble.export.importing.features import read_features
from thimble.export.importing.weights import CheckpointError
from thimble.models.transforms.scaled import ScaledTransform


def test_names_are_what_is_written_whatever_yaml_takes_them_for(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text(
        "dense: [no, 1e3, I.1]\nnumbers: {means: [0, 1e3, -2], deviations: [1, 2.5, 1]}\n"
        "fields: [1, 2024-01-01, a/b, {name: on, table_rows: 40}, é]\nids: mod\n"
    )
    features = read_features(tmp_path / "f.yaml")
    assert features.dense == ("no", "1e3", "I.1")
    assert [field.name for field in features.fields] == ["1", "2024-01-01", "a/b", "on", "é"]
    assert features.fields[3].table_rows == 40
    transform = features.transform()
    assert isinstance(transform, ScaledTransform) and [it.centre for it in transform.columns] == [0, 1000, -2]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "has no keys with values"),
        ("dense: &a [*a]", "is no YAML, see line 1"),
        ("dense: [a]\nnumbers: [{shift: 3}]", "numbers.formulas.0.shift is a key that this program does not know"),
        ("dense: [a, b]\nnumbers: [{}]", "numbers has 1 formulas, and dense names 2"),
        ("dense: [a]\nnumbers: {means: [1], deviations: [0]}", "numbers.keys.deviations.0: must lie between 1e-30 and"),
        ("dense: [a]\nnumbers: {means: [nan], deviations: [1]}", "numbers.keys.means.0: must lie between"),
        ("dense: [a]\nnumbers: {means: [1], deviations: [1, 2]}", "numbers has 2 deviations, and dense names 1"),
        ("fields: [{name: a, ids: {vocab: x}}]", "fields.0.ids.keys.vocabulary: Field required"),
        ("fields: [{name: a, ids: modulo}]", "fields.0.ids.word: Input should be 'rows' or 'mod'"),
        (f"fields: [{{name: a, table_rows: {'9' * 5000}}}]", "fields.0.table_rows: Unable to parse"),
        ("fields: [{name: a, table_rows: 9999999999999999999}]", "fields.0.table_rows: Input should be less than"),
    ],
)
def test_what_cannot_be_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "f.yaml").write_text(text)
    with pytest.raises(CheckpointError) as error:
        read_features(tmp_path / "f.yaml")
    assert str(error.value).startswith(f"{tmp_path / 'f.yaml'}") and sentence in str(error.value)
