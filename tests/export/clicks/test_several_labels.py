"""Files with a label for each of several answers."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from testing.samples import small_spec
from thimble.export.clicks.cache import cached
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.origin import origin
from thimble.export.clicks.rows import ClickError, Rows
from thimble.models.heads import Head
from thimble.models.spec import ModelSpec, answering

NAMES = ("click", "conversion")
GIVEN = answering(small_spec(dense=1, kinds=["string"]), (Head(name="click"), Head(name="conversion", given="click")))
FREE = answering(small_spec(dense=1, kinds=["string"]), (Head(name="click"), Head(name="conversion")))
LINES = ["conversion,d0,click,f0", "0,1,0,a", "0,2,1,b", "1,3,1,c", "1,4,0,d", "2,5,1,e", ",6,1,f", "1,7,,g", "1,8,1,h"]


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "clicks.csv"
    path.write_text("\n".join(LINES) + "\n")
    return path


def read(source: FileClicks) -> list[list[float]]:
    found = [clicks.labels for clicks in source.read(0, source.count(), 100)]
    return np.concatenate(found).tolist()  # type: ignore[no-any-return]


def test_labels_are_read_side_by_side_in_the_order_of_the_answers(csv: Path) -> None:
    source = FileClicks([csv], FREE, NAMES)
    assert read(source) == [[0, 0], [1, 0], [1, 1], [0, 1], [1, 1]]
    assert list(source.bad.first.values()) == [
        "clicks.csv line 6: conversion: '2' is not 0 or 1",
        "clicks.csv line 7: conversion: '' is not 0 or 1",
        "clicks.csv line 8: click: '' is not 0 or 1",
    ]


def test_a_label_without_the_one_that_it_is_given_makes_a_row_bad(csv: Path) -> None:
    source = FileClicks([csv], GIVEN, NAMES)
    assert read(source) == [[0, 0], [1, 0], [1, 1], [1, 1]]
    assert source.bad.count == 4
    assert next(iter(source.bad.first.values())) == (
        "clicks.csv line 5: conversion: 1, and click, which it is given, is not"
    )
    with pytest.raises(ClickError, match="line 5: conversion: 1, and click, which it is given, is not"):
        read(FileClicks([csv], GIVEN, NAMES, strict=True))


def test_rows_by_a_cache_and_read_again_are_the_same(csv: Path, tmp_path: Path) -> None:
    whole = cached(FileClicks([csv], GIVEN, NAMES), tmp_path / "cache")
    assert whole.take(np.arange(4)).labels.tolist() == [[0, 0], [1, 0], [1, 1], [1, 1]]
    assert cached(FileClicks([csv], FREE, NAMES), tmp_path / "cache").count() == 5  # another model, other bad rows
    source = FileClicks([csv], GIVEN, NAMES)
    known = origin(Rows(source, 0, source.count()))
    assert known is not None
    again = type(known).model_validate_json(known.model_dump_json()).rows(GIVEN)
    assert [clicks.labels.tolist() for clicks in again.read(100)] == [[[0, 0], [1, 0], [1, 1], [1, 1]]]


def test_typed_labels(tmp_path: Path) -> None:
    columns = {"click": [True, False, True], "conversion": [1.0, 0.0, 0.0], "d0": [1, 2, 3], "f0": ["a", "b", None]}
    pq.write_table(pa.table(columns), tmp_path / "clicks.parquet")
    assert read(FileClicks([tmp_path / "clicks.parquet"], GIVEN, NAMES)) == [[1, 1], [0, 0], [1, 0]]


@pytest.mark.parametrize(
    ("spec", "label", "sentence"),
    [
        (GIVEN, ("click", "bought"), "no column 'bought'"),
        (GIVEN, ("click", "click"), "the label 'click' is named twice; each answer has one of its own"),
        (GIVEN, ("click", "f0"), "the label 'f0' is also a feature"),
        (GIVEN, "click", "small has answers click and conversion, so it takes as many labels, not click"),
        (small_spec(), NAMES, "small has one answer, so it takes as many labels, not click, conversion"),
    ],
)
def test_labels_that_do_not_fit(csv: Path, spec: ModelSpec, label: str, sentence: str) -> None:
    with pytest.raises(ClickError, match=sentence):
        FileClicks([csv], spec, label)


def test_columns_without_names_have_one_label(tmp_path: Path) -> None:
    path = tmp_path / "clicks"
    path.write_text("0\t1\ta\n1\t2\tb\n")
    sentence = "clicks: its columns have no names, so it has one label and not click, conversion"
    with pytest.raises(ClickError, match=sentence):
        FileClicks([path], GIVEN, NAMES)
