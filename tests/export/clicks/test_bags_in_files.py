"""Files of every format whose rows have several values of a feature."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from testing.clicks import everything
from testing.samples import small_spec
from thimble.export.clicks.cache import cached
from thimble.export.clicks.file_rows import FileRows
from thimble.export.clicks.files import FileClicks, list_columns
from thimble.export.clicks.golden import golden_batch, golden_features
from thimble.export.clicks.parts import Plan, all_rows, streamed_parts
from thimble.export.clicks.rows import ClickError, Rows
from thimble.export.clicks.survey import survey
from thimble.models.bags import Bag
from thimble.models.features import ids_from_text
from thimble.models.spec import ModelSpec

NAMES = ("label", "d0", "user", "tags", "last")
ROWS = [
    ("1", "5", "7", "a; b ;;", "1|2|3"),
    ("0", "", "8", "", "4"),
    ("1", "6", "9", "c;d;e;f", ""),
    ("0", "1", "1", "a", "|x|5|y"),
    ("1", "2", "2", ";;", "5|null|7"),
]
GOOD: list[list[Any]] = [[7, "a", "b", 0, 2, 3], [8, 0, 0, 0, 4, 0], [9, "c", "d", "e", 0, 0], [2, 0, 0, 0, 0, 7]]
BAD = "last: 'x' is not an integer"
TAGS = Bag(values=3, pooling="mean", separator=";")
LAST = Bag(values=3, pooling="sum")


def spec_with(tags: Bag | None = TAGS, last: Bag | None = LAST) -> ModelSpec:
    spec = small_spec(dense=1, kinds=("int", "string", "int"))
    bags = dict(zip(NAMES[2:], (None, tags, last), strict=True))
    fields = [
        field.model_copy(update={"name": name, "bag": bag})
        for field, (name, bag) in zip(spec.fields, bags.items(), strict=True)
    ]
    return ModelSpec.model_validate({**spec.model_dump(), "fields": fields})


LAST_TWO = spec_with(last=Bag(values=2, pooling="max", keep="last"))


def ids(rows: list[list[Any]]) -> list[list[int]]:
    return [[int(ids_from_text("t", "string", [it])[0]) if isinstance(it, str) else it for it in row] for row in rows]


def in_lists(of: Callable[[Any], Any] = pa.list_) -> pa.Table:
    """ROWS whose bags are lists of text, in which a value may be missing."""
    columns: dict[str, Any] = dict(zip(NAMES, map(list, zip(*ROWS, strict=True)), strict=True))
    for name, separator in (("tags", ";"), ("last", "|")):
        rows = [[value or None for value in text.split(separator)] if text else None for text in columns[name]]
        columns[name] = pa.array(rows, of(pa.string()))
    return pa.table(columns)


def with_dictionaries() -> pa.Table:
    table = in_lists()
    tags = table["tags"].combine_chunks()
    words = pa.ListArray.from_arrays(tags.offsets, tags.values.dictionary_encode(), mask=tags.is_null())
    table = table.set_column(3, "tags", words)
    texts = pa.array([text for *_, text in ROWS]).dictionary_encode()
    return table.set_column(4, "last", texts)


def write(path: Path, form: str) -> Path:
    csv = "".join(",".join(row) + "\n" for row in [NAMES, *ROWS])
    match form:
        case "criteo":
            path.write_text("".join("\t".join(row) + "\n" for row in ROWS))
        case "csv":
            path.write_text(csv)
        case "gzip":
            path.write_bytes(gzip.compress(csv.encode()))
        case "zstd":
            with pa.CompressedOutputStream(str(path), "zstd") as file:
                file.write(csv.encode())
        case "parquet":
            pq.write_table(in_lists(), path)
        case "parquet of text":
            pq.write_table(pa.table(dict(zip(NAMES, map(list, zip(*ROWS, strict=True)), strict=True))), path)
        case "feather":
            pyarrow.feather.write_feather(with_dictionaries(), path, "zstd")
        case "stream":
            table = in_lists(pa.large_list)
            with pyarrow.ipc.new_stream(path, table.schema) as writer:
                writer.write_table(table)
    return path


FORMS = ["criteo", "csv", "gzip", "zstd", "parquet", "parquet of text", "feather", "stream"]


@pytest.mark.parametrize("form", FORMS)
def test_every_format_has_bags(tmp_path: Path, form: str) -> None:
    source = FileClicks([write(tmp_path / "clicks", form)], LAST_TWO)
    clicks = everything(source)
    assert clicks.labels.tolist() == [1, 0, 1, 1]
    assert clicks.batch.ids.tolist() == ids(GOOD)
    assert [reason.split(": ", 1)[1] for reason in source.bad.first.values()] == ["last: 'y' is not an integer"]
    everything(first := FileClicks([tmp_path / "clicks"], spec_with()))
    assert [reason.split(": ", 1)[1] for reason in first.bad.first.values()] == [BAD]


@pytest.mark.parametrize("form", FORMS)
def test_the_cache_has_all_columns_of_bags_and_another_for_other_bags(tmp_path: Path, form: str) -> None:
    path = write(tmp_path / "clicks", form)
    cache = cached(FileClicks([path], LAST_TWO), tmp_path / "cache")
    (read,) = all_rows(cache).read(10)
    assert read.batch.ids.tolist() == ids(GOOD)
    assert cache.take(np.array([2, 0])).batch.ids.tolist() == ids([GOOD[2], GOOD[0]])
    pooled = spec_with(last=Bag(values=2, pooling="sum", keep="last"))  # which is no matter of reading
    assert cached(FileClicks([path], pooled), tmp_path / "cache").folder == cache.folder
    for other in (spec_with(), spec_with(TAGS.model_copy(update={"separator": ","})), spec_with(None, None)):
        if form in ("csv", "gzip", "zstd", "criteo") or other.bags[1]:
            assert cached(FileClicks([path], other), tmp_path / "cache").folder != cache.folder


def test_a_stream_of_files_has_the_same_rows(tmp_path: Path) -> None:
    source = FileClicks([write(tmp_path / "clicks", "csv")], LAST_TWO)
    parts = streamed_parts(source, None, Plan(by="last", held_out_share=0.4, validation_share=0, in_order=True))
    (training,), (held_out,) = parts.training.read(10), parts.held_out.read(10)
    assert [*training.batch.ids.tolist(), *held_out.batch.ids.tolist()] == ids(GOOD)


def test_rows_to_be_scored_keep_their_places(tmp_path: Path) -> None:
    (rows,) = FileRows([write(tmp_path / "clicks.csv", "csv")], LAST_TWO).read()
    assert rows.bad.tolist() == [False, False, False, True, False]
    assert rows.batch.ids[~rows.bad].tolist() == ids(GOOD)


@pytest.mark.parametrize("form", FORMS)
def test_golden_rows_have_lists(tmp_path: Path, form: str) -> None:
    source = FileClicks([write(tmp_path / "clicks", form)], LAST_TWO)
    features = golden_features(LAST_TWO, Rows(source, 0, source.count()))
    assert features["tags"] == [["a", "b"], [], ["c", "d", "e"], [], None, None]
    assert features["last"] == [[2, 3], [4], [], [7], None, None]
    empty = [0, 0, 0, 0, 0, 0]
    expected = [*ids(GOOD)[:3], [2, 0, 0, 0, 7, 0], empty, empty]  # what is missing in a list is left out
    assert golden_batch(LAST_TWO, features).ids.tolist() == expected


def test_words_for_missing_values_are_no_values_of_a_bag(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("label,d0,user,tags,last\n1,1,1,none;a;N;b;c,-1|2\n0,1,1,N,\n")
    source = FileClicks([tmp_path / "a.csv"], spec_with(), missing=["n", "none", "-1"])
    assert everything(source).batch.ids.tolist() == ids([[1, "a", "b", "c", 2, 0, 0], [1, 0, 0, 0, 0, 0, 0]])


def test_different_ids_are_counted_by_field(tmp_path: Path) -> None:
    source = FileClicks([write(tmp_path / "clicks", "csv")], LAST_TWO)
    assert survey(Rows(source, 0, 5), LAST_TWO).ids == {"user": 4, "tags": 5, "last": 4}


def test_ten_thousand_bad_values_end_the_reading_though_rows_have_many(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("label,d0,user,tags,last\n" + "1,1,1,a,x|y\n" * 12_000)
    with pytest.raises(
        ClickError, match=r"column 'last': not one of its first 10,000 values can be read; .* 'x' is not"
    ):
        everything(FileClicks([path], spec_with()))


def test_columns_of_lists_are_found(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", "csv")
    assert list_columns([tmp_path]) == set()
    write(tmp_path / "b.parquet", "parquet")
    assert list_columns([tmp_path]) == {"tags", "last"}
    (tmp_path / "b.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(ClickError, match=r"^b\.parquet: not readable as Parquet: "):
        list_columns([tmp_path])


def test_lists_of_a_single_valued_feature_are_a_sentence(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", "parquet")
    with pytest.raises(ClickError) as refused:
        FileClicks([path], spec_with(None))
    wanted = (
        "its type is list<element: string>, and one value a row is wanted; a model trained with --multi takes lists"
    )
    assert str(refused.value) == f"a.parquet: column 'tags': {wanted}"


def test_lists_of_lists_and_weights_are_a_sentence(tmp_path: Path) -> None:
    for rows, reason in (([[["a"]]], "lists of lists"), ([[{"tag": "a", "weight": 0.5}]], "values have no weights")):
        table = pa.table({"label": [1], "d0": [1], "user": [1], "tags": rows, "last": [1]})
        pq.write_table(table, tmp_path / "a.parquet")
        with pytest.raises(ClickError, match=rf"^a\.parquet: column 'tags': its type is list<.*{reason}"):
            FileClicks([tmp_path / "a.parquet"], spec_with())


def test_lists_of_a_damaged_arrow_file_are_not_read_beyond_their_memory(tmp_path: Path) -> None:
    table = in_lists()
    tags = table["tags"].combine_chunks()
    offsets = pa.array([0, 2, 1 << 29, 3, 4, 5], pa.int32())
    wild = pa.ListArray.from_arrays(offsets, tags.values)
    with pyarrow.ipc.new_file(tmp_path / "a.arrow", table.schema) as writer:
        writer.write_table(table.set_column(3, "tags", wild))
    with pytest.raises(ClickError, match=r"^a\.arrow: damaged after row 0: "):
        everything(FileClicks([tmp_path / "a.arrow"], spec_with()))


def test_text_in_lists_of_arrow_need_not_be_utf8(tmp_path: Path) -> None:
    words = pa.array([b"a", b"\xff"]).view(pa.string())
    tags = pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), words)
    table = pa.table({"label": [1, 0], "d0": [1, 2], "user": [1, 2], "tags": tags, "last": [1, 2]})
    pyarrow.feather.write_feather(table, tmp_path / "a.feather", "uncompressed")
    source = FileClicks([tmp_path / "a.feather"], spec_with())
    assert everything(source).batch.ids.tolist() == ids([[1, "a", 0, 0, 1, 0, 0]])
    assert [*source.bad.first.values()] == ["a.feather row 2: tags: '\\udcff' is not valid Unicode text"]
