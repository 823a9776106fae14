"""Columns of several values a row, as the command line has them."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.export.conftest import Run
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.rows import ClickError
from thimble.export.commands.bags import AskedBag, asked_bags
from thimble.export.commands.training_model import AskedModel
from thimble.models.bags import Bag


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("genres", AskedBag()),
        ("genres:", AskedBag()),
        ("genres:;", AskedBag(";")),
        ("genres::8", AskedBag("|", 8)),
        ("genres:|:8:mean", AskedBag("|", 8, "mean")),
        ("genres:|::max:last", AskedBag("|", None, "max", "last")),
        ("genres:::8", AskedBag(":", 8)),
        ("genres:::8:sum", AskedBag(":", 8, "sum")),
        ("genres:::sum", AskedBag("|", None, "sum")),
        ("genres::::last", AskedBag("|", None, "mean", "last")),
        ("genres: :8", AskedBag(" ", 8)),
    ],
)
def test_what_is_left_out_has_a_default(text: str, asked: AskedBag) -> None:
    assert asked_bags([text], ["user", "genres"], []) == {"genres": asked}


def test_names_may_have_colons() -> None:
    found = asked_bags(["a:b:c:;:3", "a:b:;"], ["a", "a:b", "a:b:c"], [])
    assert found == {"a:b:c": AskedBag(";", 3), "a:b": AskedBag(";")}


@pytest.mark.parametrize(
    ("multi", "sentence"),
    [
        (["genre"], "--multi genre: 'genre' is not among the columns of --int, --hex and --string"),
        (["age:|"], "--multi age:|: age is a column of numbers, of which a row has one"),
        (["genres", "genres:;"], "--multi is given twice for genres"),
        (["genres:||"], "--multi genres:||: a separator is one character, and no letter"),
        (["genres:a"], "--multi genres:a: a separator is one character, and no letter"),
        (["genres:|:0"], "--multi genres:|:0: a bag has 1 to 1,024 values"),
        (["genres:|:100000"], "--multi genres:|:100000: a bag has 1 to 1,024 values"),
        (["genres:|:9:avg"], "--multi genres:|:9:avg: values are pooled by sum, mean or max"),
        (["genres:|:9:sum:newest"], "--multi genres:|:9:sum:newest: of a longer list the first or the last values are"),
        (
            ["genres:|:-1"],
            "--multi takes NAME:SEPARATOR:VALUES:POOLING:KEEP, of which all but NAME may be left out, not",
        ),
        (["genres:|:9:sum:last:0.5"], "--multi takes NAME:SEPARATOR:VALUES:POOLING:KEEP, of which all but NAME"),
        (["genres:|:" + "9" * 9999], "--multi takes NAME:SEPARATOR:VALUES:POOLING:KEEP, of which all but NAME"),
    ],
)
def test_what_cannot_be_read_is_a_sentence(multi: list[str], sentence: str) -> None:
    with pytest.raises(ClickError) as refused:
        asked_bags(multi, ["genres"], ["age"])
    assert str(refused.value).startswith(sentence) and "\n" not in str(refused.value)


def with_bags(path: Path, *multi: str, strings: str = "tags") -> dict[str, Bag | None]:
    asked = AskedModel(preset=None, dense="d0", ints="user", hexes="", strings=strings, multi=multi, embedding_dim=8)
    spec = asked.with_bags([path], lambda spec: FileClicks([path], spec)).spec()
    return {field.name: field.bag for field in spec.fields}


def test_room_follows_from_the_files(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("label,d0,user,tags\n1,1,1,a|b|c\n0,1,1,\n")
    assert with_bags(path) == {"user": None, "tags": None}
    assert with_bags(path, "tags") == {"user": None, "tags": Bag(values=3, pooling="mean")}
    assert with_bags(path, "tags:;")["tags"] == Bag(values=1, pooling="mean", separator=";")
    assert with_bags(path, "tags:|:9:sum:last")["tags"] == Bag(values=9, pooling="sum", keep="last")


def test_columns_of_lists_have_bags_by_themselves(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"label": [1, 0], "d0": [1, 2], "user": [1, 2], "tags": [["a", "b"], None]}), path)
    assert with_bags(path) == {"user": None, "tags": Bag(values=2, pooling="mean")}
    assert with_bags(path, "tags::5:max")["tags"] == Bag(values=5, pooling="max")


def test_with_a_preset_columns_are_its_own(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("label\n1\n")
    said = run("train", "a.csv", "--preset", "criteo-kaggle", "--multi", "C1")
    assert (said.status, said.err) == (1, "thimble-export: --preset has columns of its own: leave out --multi\n")
