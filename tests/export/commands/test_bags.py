"""Columns of several values a row, as the command line has them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pyarrow.csv import read_csv

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


SMALL = ["--dense", "d0", "--int", "user", "--string", "tags", "--batch-size", "32", "--epochs", "1"]


def write_tags(path: Path, rows: int = 300) -> Path:
    """Rows of a click where one of one to four tags is `hot`."""
    random = np.random.default_rng(0)
    words = [random.choice(["hot", "b", "c", "d", "e"], 1 + i % 4, replace=False) for i in range(rows)]
    lines = [f"{int('hot' in tags)},{i % 7},{i % 11},{'|'.join(tags)}" for i, tags in enumerate(words)]
    path.write_text("\n".join(["label,d0,user,tags", *lines]) + "\n")
    return path


def test_a_run_says_what_bags_hold_and_goes_on_with_them(run: Run, tmp_path: Path) -> None:
    write_tags(tmp_path / "a.csv")
    first = run("train", "a.csv", *SMALL, "--multi", "tags:|:3:sum:last", "--run", "first")
    assert first.status == 0, first.err
    line = "bag tags: the last 3 values, sum; a row has 2.5 on average, and 10.0% of all values are cut\n"
    assert first.out.startswith(line)
    page = (tmp_path / "first/report.html").read_text()
    assert "Several values a row" in page and "<td>10.0%</td>" in page and "string, the last 3 values, sum" in page

    chosen = run("train", "a.csv", *SMALL, "--multi", "tags", "--run", "first")
    assert chosen.status == 1 and "first holds another run (spec differ)" in chosen.err
    again = run("train", "a.csv", "--from", "first")
    assert again.status == 0 and again.out.startswith(line)
    refused = run("train", "a.csv", "--from", "first", "--multi", "tags")
    said = "thimble-export: --from has the columns of its run, and their bags: leave out --multi\n"
    assert (refused.status, refused.err) == (1, said)


@pytest.mark.parametrize("streamed", [(), ("--no-cache",)])
def test_lists_are_trained_on_as_text_is(run: Run, tmp_path: Path, streamed: tuple[str, ...]) -> None:
    text = read_csv(write_tags(tmp_path / "a.csv"))
    lists = text.set_column(3, "tags", pc.split_pattern(text["tags"], "|"))
    pq.write_table(lists, tmp_path / "b.parquet")
    ends = []
    for file, multi in (("a.csv", ["--multi", "tags"]), ("b.parquet", [])):
        said = run("train", file, *SMALL, *multi, "--run", f"run of {file}", *streamed)
        assert said.status == 0, said.err
        assert "bag tags: the first 4 values, mean; a row has 2.5 on average, and 0.0% of" in said.out
        ends.append(said.out.split("\nheld out: ")[1])
    assert ends[0] == ends[1]


def test_values_with_weights_are_refused_by_name(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("label,d0,user,tags\n1,1,1,a:0.5|b:0.5\n0,1,1,a:1.0\n")
    said = run("train", "a.csv", *SMALL, "--multi", "tags")
    weights = "column 'tags': its values have weights, as 'a:0.5' has, and bags take none; write the values alone"
    assert (said.status, said.err) == (1, f"thimble-export: {weights}\n")
