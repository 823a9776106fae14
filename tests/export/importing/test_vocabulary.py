"""Which row a value has, in every kind of file that other projects write it down in."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from thimble.export.importing.vocabulary import read_vocabulary
from thimble.export.importing.weights import CheckpointError
from thimble.models.features import ids_from_text
from thimble.models.inputs import Kind


def rows(path: Path, kind: Kind, values: list[str]) -> list[int]:
    """Those of values, as they will be sent."""
    found = read_vocabulary(path, "city", kind, 1000)
    ids = ids_from_text("city", kind, values)
    return [dict(zip(found.ids.tolist(), found.rows.tolist(), strict=True)).get(one, -1) for one in ids.tolist()]


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("v.csv", "Oslo,3\nNew York,5\n"),
        ("v.csv", '\ufeffOslo,3\r\n\r\n"New York", 5\r\n'),
        ("v.json", '{"Oslo": 3, "New York": 5}'),
        ("v.json", '\ufeff{"city": {"Oslo": 3, "New York": 5}, "Oslo": {"a": 1}}'),
        ("v.txt", "a\nb\nc\nOslo\n\nNew York"),
    ],
)
def test_texts_have_rows(tmp_path: Path, name: str, content: str) -> None:
    assert rows(written(tmp_path / name, content), "string", ["Oslo", "New York", "Rome"]) == [3, 5, -1]


def test_an_empty_line_among_values_is_a_missing_one_and_counts(tmp_path: Path) -> None:
    assert rows(written(tmp_path / "classes.txt", "\nOslo\nRome\n"), "string", ["", "Oslo", "Rome"]) == [0, 1, 2]


def test_integers_are_the_ids_of_hexadecimal_tokens(tmp_path: Path) -> None:
    # as Facebook's script keeps them: e5ba7672 and ffffffff are above the largest int32
    np.savez(tmp_path / "train_fea_dict_0.npz", unique=np.array([0, -440764814, 255, 16, -1], np.int32))
    values = ["", "e5ba7672", "000000ff", "00000010", "ffffffff", "00000255"]
    assert rows(tmp_path / "train_fea_dict_0.npz", "hex", values) == [0, 1, 2, 3, 4, -1]


def test_integers_are_ids_and_texts_too(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", np.array([7, -2, 1 << 62]))
    assert rows(tmp_path / "v.npz", "int", ["7", "-2", str(1 << 62)]) == [0, 1, 2]
    assert rows(tmp_path / "v.npz", "string", ["7", "-2"]) == [0, 1]


@pytest.mark.parametrize("values", [np.array([1, -1]), np.array([0.5])])
def test_other_numbers_are_no_hexadecimal_tokens(tmp_path: Path, values: npt.NDArray[np.generic]) -> None:
    np.savez(tmp_path / "v.npz", values)
    with pytest.raises(CheckpointError, match="has numbers for city that are no ids of hexadecimal tokens"):
        read_vocabulary(tmp_path / "v.npz", "city", "hex", 1000)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("v.csv", "", "has no values of city"),
        ("v.json", "{}", "has no values of city"),
        ("v.csv", "value,row\n", "line 1 is no value and row: 'value,row'"),
        ("v.csv", "a,-1\n", "line 1 is no value and row"),
        ("v.csv", f"a,{10**25}\n", f"speaks of row {10**25} of city, whose table has 1000"),
        ("v.json", f'{{"a": {10**25}}}', f"speaks of row {10**25} of city, whose table has 1000"),
        ("v.json", '{"a": -1}', "speaks of row -1 of city, whose table has 1000"),
        ("v.json", '{"a": true}', "is no object of values and rows, and has none for city"),
        ("v.json", '{"a": 1, "a": 2}', "'a' and 'a' are one string id, and have different rows"),
        ("v.json", '{"a":' * 100_000, "is no vocabulary: maximum recursion"),
        ("v.txt", '"a\nb"\nc\n', "line 1 has a quotation mark that is not closed there"),
        ("v.txt", 'a\n"b\nc\n', "is no vocabulary: unexpected end of data"),
        ("v.csv", "a" * 200_000, "is no vocabulary: field larger than field limit"),
        ("v.csv", b"\xff\xfe", "is no vocabulary: 'utf-8' codec"),
        ("v.npz", "no zip", "is no file of numpy.savez's"),
        ("v.npz", b"", "is no file of numpy.savez's"),
    ],
)
def test_what_is_none_is_named(tmp_path: Path, name: str, content: str | bytes, sentence: str) -> None:
    with pytest.raises(CheckpointError) as error:
        read_vocabulary(written(tmp_path / name, content), "city", "string", 1000)
    assert str(error.value).startswith(str(tmp_path / name)) and sentence in str(error.value)


def test_a_damaged_file_of_numpys_is_named(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "v.npz", unique=np.arange(3000))
    damaged = bytearray((tmp_path / "v.npz").read_bytes())
    damaged[100:140] = bytes(40)
    with pytest.raises(CheckpointError, match=r"v\.npz is no vocabulary: Error -3 while decompressing"):
        read_vocabulary(written(tmp_path / "v.npz", bytes(damaged)), "city", "int", 3000)
