import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testing.clicks import CLICK_SPEC, everything, numbers
from thimble.export.clicks.arrow_types import readable
from thimble.export.clicks.encoding import encode, encode_labels
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.golden import golden_batch, golden_features
from thimble.export.clicks.rows import ClickError, Rows
from thimble.export.clicks.value_options import ValueOptions
from thimble.models.features import ids_from_text
from thimble.models.inputs import ValueKind
from thimble.models.spec import ModelSpec


@pytest.fixture
def spec() -> ModelSpec:
    return CLICK_SPEC


def columns(**changed: Any) -> dict[str, Any]:
    return {
        "label": [1, 0, 1, 0],
        "d0": pa.array([1, None, -3, 4], pa.int32()),
        "d1": pa.array([0.5, math.nan, None, 2.5], pa.float64()),
        "f0": pa.array([7, None, 1 << 59, 0], pa.int64()),
        "f1": pa.array(["1f", None, "", "FF"]),
        "f2": pa.array(["a", None, " ", "a"]).dictionary_encode(),
        **changed,
    }


def write_parquet(path: Path, data: dict[str, Any]) -> Path:
    pq.write_table(pa.table(data), path)
    return path


def test_parquet(tmp_path: Path, spec: ModelSpec) -> None:
    source = FileClicks([write_parquet(tmp_path / "a.parquet", columns())], spec)
    clicks = everything(source)
    assert clicks.labels.tolist() == [1, 0, 1, 0]
    expected = np.array([[1, 0.5], [math.nan] * 2, [-3, math.nan], [4, 2.5]], np.float32)
    assert np.array_equal(clicks.batch.dense, expected, equal_nan=True)
    assert clicks.batch.ids[:, :2].tolist() == [[7, 31], [0, 0], [1 << 59, 0], [0, 255]]
    assert clicks.batch.ids[0, 2] == clicks.batch.ids[3, 2] != 0
    assert clicks.batch.ids[1:3, 2].tolist() == [0, 0]
    assert source.bad.count == 0


def test_parquet_ids_that_a_data_frame_made_floats(tmp_path: Path, spec: ModelSpec) -> None:
    data = columns(f0=[7.0, math.nan, 3.5, 0.0], label=[True, False, True, False])
    source = FileClicks([write_parquet(tmp_path / "a.parquet", data)], spec)
    assert numbers(source.read(0, 4, 4)) == [7, 0, 0]
    assert list(source.bad.first.values()) == ["a.parquet row 3: f0: 3.5 is not an integer"]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"label": [1, 0, None, 0]}, "label: None is not 0 or 1"),
        ({"label": [1.0, 0.0, 0.5, 0.0]}, "label: 0.5 is not 0 or 1"),
        ({"label": ["1", "0", "yes", "1"]}, "label: 'yes' is not 0 or 1"),
        ({"d0": ["1", "2", "x", "4"]}, "d0: 'x' is not a finite number"),
        ({"f1": pa.array([1, 2, -3, 4], pa.int64())}, "f1: '-3' is not a hexadecimal token"),
        ({"f2": [b"a", b"b", b"\xff", b"d"]}, "f2: '\\udcff' is not valid Unicode text"),
    ],
)
def test_parquet_of_other_types(tmp_path: Path, spec: ModelSpec, changed: dict[str, Any], reason: str) -> None:
    source = FileClicks([write_parquet(tmp_path / "a.parquet", columns(**changed))], spec)
    list(source.read(0, 4, 4))
    first = next(iter(source.bad.first.values()))
    assert first.endswith(reason) or reason in source.bad.first.values()
    assert first.startswith("a.parquet row ")


TROMSO = pa.array([b"1", b"0", b"Troms\xf8", b"0"])


@pytest.mark.parametrize(
    "array",
    [
        TROMSO,
        TROMSO.view(pa.string()),
        TROMSO.cast(pa.large_binary()).view(pa.large_string()),
        TROMSO.cast(pa.binary_view()).view(pa.string_view()),
        TROMSO.view(pa.string()).dictionary_encode(),
    ],
    ids=lambda array: str(array.type),
)
@pytest.mark.parametrize("missing", [[], ["-999"]])
@pytest.mark.parametrize("name", ["label", "d0", "f0", "f1", "f2"])
def test_text_that_is_not_utf8_is_a_bad_row(
    tmp_path: Path, spec: ModelSpec, name: str, missing: list[str], array: Any
) -> None:
    path = write_parquet(tmp_path / "a.parquet", columns(**{name: array}))
    source = FileClicks([path], spec, missing=missing)
    assert len(everything(source).labels) == 3
    (reason,) = source.bad.first.values()
    assert reason.startswith(f"a.parquet row 3: {name}: 'Troms\\udcf8' is not ")


@pytest.mark.parametrize("missing", [[], ["-999"]])
@pytest.mark.parametrize(("type_", "power"), [(pa.float16(), 11), (pa.float32(), 24), (pa.float64(), 53)], ids=str)
def test_floats_are_ids_as_long_as_they_are_exact(
    tmp_path: Path, spec: ModelSpec, type_: Any, power: int, missing: list[str]
) -> None:
    largest = float(2**power - 1)
    floats = np.array([largest, math.nan, largest + 1, 3.5], type_.to_pandas_dtype())
    source = FileClicks([write_parquet(tmp_path / "a.parquet", columns(f0=floats))], spec, missing=missing)
    assert numbers(source.read(0, 4, 4)) == [2**power - 1, 0]
    name = str(floats.dtype) if power < 53 else "float"
    assert list(source.bad.first.values()) == [
        f"a.parquet row 3: f0: {largest + 1} is a {name}, which from 2^{power} on stands for several integers",
        "a.parquet row 4: f0: 3.5 is not an integer",
    ]


@pytest.mark.parametrize(
    "labels",
    [
        pa.array(["1", "0", "0.99999999999", "1e-60"]),
        pa.array([1, 0, 0.99999999999, 1e-60], pa.float64()),
        pa.array([*map(Decimal, ["1", "0", "0.99999999999", "1e-11"])], pa.decimal128(12, 11)),
    ],
    ids=lambda labels: str(labels.type),
)
def test_labels_are_exactly_0_or_1(tmp_path: Path, spec: ModelSpec, labels: Any) -> None:
    source = FileClicks([write_parquet(tmp_path / "a.parquet", columns(label=labels))], spec)
    assert everything(source).labels.tolist() == [1, 0]
    assert [reason.partition(": ")[0] for reason in source.bad.first.values()] == ["a.parquet row 3", "a.parquet row 4"]


@pytest.mark.parametrize(
    ("name", "array", "kind"),
    [
        ("label", pa.array([[1], [0], [1], [1]]), "a number"),
        ("d0", pa.array([{"x": 1}] * 4), "a number"),
        ("f0", pa.array([True] * 4), "an integer id"),
        ("f1", pa.array([1.5] * 4), "a hexadecimal token"),
        ("f2", pa.array([1.5] * 4), "text"),
    ],
)
def test_a_column_that_fits_no_row_is_refused_once(
    tmp_path: Path, spec: ModelSpec, name: str, array: Any, kind: str
) -> None:
    path = write_parquet(tmp_path / "a.parquet", columns(**{name: array}))
    with pytest.raises(ClickError) as refused:
        FileClicks([path], spec)
    type_ = str(array.type).replace("item", "element")  # Parquet's word
    assert str(refused.value) == f"a.parquet: column {name!r}: its type is {type_}, which is not read as {kind}"


def test_one_bad_label_makes_no_other_bad(tmp_path: Path, spec: ModelSpec) -> None:
    labels = [Decimal(i % 2) for i in range(1000)]
    rows: dict[str, Any] = {"d0": [1.0] * 1000, "d1": [1.0] * 1000, "f0": range(1000), "f1": ["1"] * 1000}
    for bad in (None, Decimal(2)):
        label = pa.array([*labels[:900], bad, *labels[901:]], pa.decimal128(3, 0))
        table = {"label": label, **rows, "f2": ["a"] * 1000}
        source = FileClicks([write_parquet(tmp_path / "a.parquet", table)], spec)
        assert sum(len(part.labels) for part in source.read(0, 1000, 5000)) == 999
        assert source.bad.count == 1


TYPES: dict[ValueKind, list[Any]] = {
    "number": [pa.bool_(), pa.int8(), pa.uint64(), pa.int64(), pa.float16(), pa.float64(), pa.decimal128(20, 3)],
    "int": [
        pa.int8(),
        pa.uint64(),
        pa.int64(),
        pa.float16(),
        pa.float32(),
        pa.float64(),
        pa.decimal128(20, 1),
        pa.decimal128(20, 0),
    ],
    "hex": [pa.int32(), pa.uint32(), pa.int64(), pa.large_string(), pa.binary()],
    "string": [pa.int64(), pa.uint64(), pa.string(), pa.large_string(), pa.binary()],
}
WORDS = ["", " ", "7", " 7", "7.0", "-3", "1f", "True", "NaN", "NULL", "\\N", "x", "Größe", "1e39", str(1 << 63)]
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "bool": st.booleans(),
    "halffloat": st.floats(width=16),
    "float": st.floats(width=32) | st.integers(-100, 100).map(float),
    "double": st.floats() | st.sampled_from([7.0, -7.0, 2.0**53, 2.0**60, 1e39, math.nan]),
    "string": st.sampled_from(WORDS),
    "large_string": st.sampled_from(WORDS),
    "binary": st.sampled_from([*(word.encode() for word in WORDS), b"\xff"]),
}


def drawn(type_: Any) -> st.SearchStrategy[Any]:
    if pa.types.is_integer(type_):
        low = 0 if str(type_).startswith("u") else -(1 << (type_.bit_width - 1))
        return st.integers(low, low + (1 << type_.bit_width) - 1)
    if pa.types.is_decimal(type_):
        return st.decimals(-(10**15), 10**15, places=type_.scale) | st.integers(0, 1).map(Decimal)
    return VALUES[str(type_)]


@pytest.mark.parametrize(("kind", "type_"), [(kind, type_) for kind, some in TYPES.items() for type_ in some], ids=str)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_what_is_read_as_a_column_is_read_one_by_one(kind: ValueKind, type_: Any, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.none() | drawn(type_), min_size=1, max_size=20))

    def read(some: list[Any]) -> list[Any]:
        """The label and the feature of each row, or what is wrong with it."""
        array = readable(kind, pa.array(some, type_), ValueOptions())
        labels = readable("number", pa.array(some, type_), ValueOptions())
        found = []
        for encoded, bad in (encode_labels(labels), encode(array, kind, typed=True)):
            found.append(
                [bad.get(row, None if value != value else value) for row, value in enumerate(encoded.tolist())]
            )
        return list(zip(*found, strict=True))

    assert read(values) == [read([value])[0] for value in values]


def test_the_types_that_carry_the_meaning(tmp_path: Path, spec: ModelSpec) -> None:
    data = columns(
        label=[True, False, True, False],
        d0=pa.array([True, None, False, True]),
        d1=pa.array([Decimal("1.50"), None, Decimal("-2.00"), Decimal(3)], pa.decimal128(10, 2)),
        f0=pa.array([-1, 7, None, 1 << 62], pa.int64()),
        f1=pa.array([31, None, -1, 0x68FD1E64], pa.int32()),
        f2=pa.array([1, None, -5, 1], pa.int64()),
    )
    source = FileClicks([write_parquet(tmp_path / "a.parquet", data)], spec)
    clicks = everything(source)
    assert source.bad.count == 0 and clicks.labels.tolist() == [1, 0, 1, 0]
    expected = np.array([[1, 1.5], [math.nan, math.nan], [0, -2], [1, 3]], np.float32)
    assert np.array_equal(clicks.batch.dense, expected, equal_nan=True)
    wide = ids_from_text("f0", "string", ["-1", str(1 << 62)]).tolist()
    assert clicks.batch.ids[:, 0].tolist() == [wide[0], 7, 0, wide[1]]
    assert clicks.batch.ids[:, 1].tolist() == [31, 0, 0xFFFFFFFF, 0x68FD1E64]
    assert clicks.batch.ids[:, 2].tolist() == ids_from_text("f2", "string", ["1", "", "-5", "1"]).tolist()
    golden = golden_features(spec, Rows(source, 0, 4))
    assert np.array_equal(golden_batch(spec, golden).ids[:4], clicks.batch.ids)
    assert np.array_equal(golden_batch(spec, golden).dense[:4], clicks.batch.dense, equal_nan=True)


def test_parquet_ranges_across_files(tmp_path: Path, spec: ModelSpec) -> None:
    for i in range(3):
        ids = list(range(5000 * i, 5000 * (i + 1)))
        data = {"label": [0] * 5000, "d0": ids, "d1": ids, "f0": ids, "f1": ["1"] * 5000, "f2": ["s"] * 5000}
        write_parquet(tmp_path / f"part-{i}.parquet", data)
    source = FileClicks([tmp_path], spec)
    assert source.count() == 15_000
    assert numbers(source.read(4090, 10_005, 1000)) == list(range(4090, 10_005))


def test_parquet_that_is_none_or_damaged(tmp_path: Path, spec: ModelSpec) -> None:
    path = tmp_path / "a.parquet"
    path.write_text("nonsense")
    with pytest.raises(ClickError, match=r"^a\.parquet: not readable as Parquet: "):
        FileClicks([path], spec).count()
    ids = np.random.default_rng(0).integers(0, 1 << 59, 20_000)
    words = [f"{i:x}" for i in ids.tolist()]
    data = {"label": [0] * 20_000, "d0": ids, "d1": ids, "f0": ids, "f1": words, "f2": words}
    whole = bytearray(write_parquet(path, data).read_bytes())
    for place in range(1000, len(whole) - 20_000, 997):
        whole[place : place + 20] = bytes(20)
    path.write_bytes(whole)
    with pytest.raises(ClickError, match=r"^a\.parquet: damaged after row \d+: "):
        list(FileClicks([path], spec).read(0, 20_000, 1000))
