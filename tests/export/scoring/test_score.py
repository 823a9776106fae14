import csv
import gzip
import os
import signal
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from testing.artifacts import write_artifact
from testing.clicks import CLICK_SPEC, lines
from testing.disk import files_no_larger_than
from testing.servers import running
from thimble.export.artifact.agreement import onnx_scores, onnx_session
from thimble.export.clicks.bad_rows import BadRows
from thimble.export.clicks.file_rows import FileRows, KeyedRows
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.rows import ClickError
from thimble.export.scoring.output import OutputError
from thimble.export.scoring.score import ScoreError, score_files
from thimble.models.hashing import Floats

NAMES = ["label", *CLICK_SPEC.feature_names]
ROWS = 3000  # several tables and more than one of Parquet's row groups would hold of them


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_artifact(CLICK_SPEC, tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clicks") / "clicks"
    path.write_text("".join(f"{line}\n" for line in lines(ROWS)))
    return path


@pytest.fixture(scope="module")
def expected(artifact: Path, labelled: Path) -> Floats:
    """The scores of the labelled lines, a table at a time as they are read."""
    session = onnx_session(str(artifact))
    parts = FileClicks([labelled], CLICK_SPEC).read(0, ROWS, 1024)
    return np.concatenate([onnx_scores(session, part.batch) for part in parts])


def write(path: Path, with_labels: bool, bad: dict[int, str] | None = None) -> Path:
    """The lines in another form, d1 of some rows replaced."""
    table = [dict(zip(NAMES, line.split("\t"), strict=True)) for line in lines(ROWS)]
    for row, value in (bad or {}).items():
        table[row]["d1"] = value
    names = NAMES[not with_labels :]
    match path.suffix:
        case ".csv":
            with path.open("w", newline="") as file:
                writer = csv.DictWriter(file, ["key", *names], extrasaction="ignore")
                writer.writeheader()
                writer.writerows({"key": f"k,{row}"} | values for row, values in enumerate(table))
        case ".parquet":
            columns = {name: [row[name] for row in table] for name in names}
            pq.write_table(pa.table(columns | {"key": range(ROWS)}), path)
        case _:
            path.write_text("".join("\t".join(row[name] for name in names) + "\n" for row in table))
    return path


def read(path: Path) -> dict[str, list[Any]]:
    """A file of scores by its columns, as pandas would: an empty score is None."""
    if path.suffix == ".parquet":
        columns: dict[str, list[Any]] = pq.read_table(path).to_pydict()
        return columns
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        header, *rows = csv.reader(file)
    found: dict[str, list[Any]] = {
        name: list(column) for name, column in zip(header, zip(*rows, strict=True), strict=True)
    }
    return found | {"score": [float(score) if score else None for score in found["score"]]}


def score(artifact: Path, clicks: Path, output: Path, *keys: str, strict: bool = False) -> dict[str, list[Any]]:
    score_files(artifact, FileRows([clicks], CLICK_SPEC, keys, strict), output)
    return read(output)


@pytest.mark.parametrize("output", ["scores.csv", "scores.parquet"])
@pytest.mark.parametrize("with_labels", [False, True])
@pytest.mark.parametrize(("name", "key"), [("rows", "f0"), ("rows.csv", "key"), ("rows.parquet", "key")])
def test_rows_with_and_without_labels(
    artifact: Path, expected: Floats, tmp_path: Path, name: str, key: str, with_labels: bool, output: str
) -> None:
    found = score(artifact, write(tmp_path / name, with_labels), tmp_path / output, key)
    assert list(found) == [key, "score"]
    assert np.array(found["score"], np.float32).tobytes() == expected.tobytes()
    keys = [f"k,{row}" if name == "rows.csv" else row for row in range(ROWS)]
    as_text = name == "rows" or output == "scores.csv"
    assert found[key] == ([*map(str, keys)] if as_text else keys)
    assert [path.name for path in sorted(tmp_path.iterdir())] == sorted([name, output])


@pytest.mark.parametrize("output", ["scores.csv", "scores.parquet"])
@pytest.mark.parametrize("name", ["rows", "rows.csv", "rows.parquet"])
def test_a_bad_row_keeps_its_place(artifact: Path, expected: Floats, tmp_path: Path, name: str, output: str) -> None:
    bad = {0: "x", 1023: "x", 1024: "x", ROWS - 1: "x"}
    source = FileRows([write(tmp_path / name, False, bad)], CLICK_SPEC, ["f0"])
    assert score_files(artifact, source, tmp_path / output) == ROWS
    found = read(tmp_path / output)
    assert [row for row, value in enumerate(found["score"]) if value is None] == sorted(bad)
    good = [row for row in range(ROWS) if row not in bad]
    assert [found["score"][row] for row in good] == pytest.approx(expected[good].tolist(), rel=1e-6)
    assert found["f0"] == [*map(str, range(ROWS))]
    assert source.bad.count == len(bad)
    place = {"rows": "line 1", "rows.csv": "line 2", "rows.parquet": "row 1"}[name]
    assert next(iter(source.bad.first.values())) == f"{name} {place}: d1: 'x' is not a finite number"
    with pytest.raises(ClickError, match="'x' is not a finite number"):
        score(artifact, tmp_path / name, tmp_path / "strict.csv", strict=True)
    assert not (tmp_path / "strict.csv").exists()


def test_many_bad_rows_are_bad_each_by_itself(artifact: Path, tmp_path: Path) -> None:
    """What ends reading are columns of which nothing at all is good."""
    rows = ["1\t1\t1\tf\tx", *["x\t1\t1\tf\tx"] * BadRows.HOPELESS, "2\t1\t1\tf\tx"]
    (tmp_path / "rows").write_text("\n".join(rows))
    found = score(artifact, tmp_path / "rows", tmp_path / "scores.csv")["score"]
    assert len(found) == len(rows) and found.count(None) == BadRows.HOPELESS
    (tmp_path / "rows").write_text("\n".join(rows[1:-1]))
    with pytest.raises(ClickError, match=r"'d0': not one of its first 10,000 values can be read; rows line 10000: 'x'"):
        score(artifact, tmp_path / "rows", tmp_path / "hopeless.csv")
    assert not (tmp_path / "hopeless.csv").exists()


def test_scores_alone_have_a_line_for_a_bad_row(artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "rows").write_text("1\t1\t1\tf\tx\nnonsense\n2\t2\t2\tf\ty\n")
    assert [value is None for value in score(artifact, tmp_path / "rows", tmp_path / "scores.csv")["score"]] == [
        0,
        1,
        0,
    ]
    assert (tmp_path / "scores.csv").read_text().splitlines()[2] == '""'  # readers pass over an empty line


def test_most_lines_say_whether_they_have_labels(artifact: Path, tmp_path: Path) -> None:
    with_label, without = "0\t1\t1\t1\tf\tx", "1\t1\t1\tf\tx"
    (tmp_path / "rows").write_text("\n".join([without, "nonsense", with_label, with_label]))
    source = FileRows([tmp_path / "rows"], CLICK_SPEC)
    score_files(artifact, source, tmp_path / "scores.csv")
    assert [message.partition(": ")[2] for message in source.bad.first.values()] == [
        "6 columns expected, found 5",
        "6 columns expected, found 1",
    ]
    (tmp_path / "rows").write_text("\n".join([with_label, "nonsense", without, without]))
    source = FileRows([tmp_path / "rows"], CLICK_SPEC)
    score_files(artifact, source, tmp_path / "scores.csv")
    assert [message.partition(": ")[2] for message in source.bad.first.values()] == [
        "5 columns expected, found 6",
        "5 columns expected, found 1",
    ]


TYPES: list[tuple[pa.DataType, list[Any], list[str] | None]] = [
    (pa.int64(), [2**63 - 1, None, -1], [str(2**63 - 1), "", "-1"]),
    (pa.uint64(), [2**64 - 1, 0, None], [str(2**64 - 1), "0", ""]),
    (pa.float64(), [0.1, None, 1e300], ["0.1", "", "1e+300"]),
    (pa.bool_(), [True, False, None], ["true", "false", ""]),
    (pa.string(), ['say "hi"', "a,b\nc", None], ['say "hi"', "a,b\nc", ""]),
    (pa.string(), ["a\rb", "\r\n", "a\u2028b"], ["a\rb", "\r\n", "a\u2028b"]),
    (pa.large_string(), ["é", "", None], ["é", "", ""]),
    (pa.dictionary(pa.int32(), pa.string()), ["b", "a", None], ["b", "a", ""]),
    (pa.binary(), [b"a", b"\xff", None], ["a", "\udcff", ""]),
    (pa.decimal128(12, 3), [Decimal("1.250"), None, Decimal("-9")], ["1.250", "", "-9.000"]),
    (pa.date32(), [date(2026, 1, 31), None, date(1969, 1, 1)], ["2026-01-31", "", "1969-01-01"]),
    (pa.timestamp("ns", "UTC"), [1, None, -1], None),
    (pa.timestamp("ms"), [1_700_000_000_123, None, 0], ["2023-11-14 22:13:20.123", "", "1970-01-01 00:00:00.000"]),
    (pa.list_(pa.int64()), [[1, 2], [], None], None),
]


@pytest.mark.parametrize(("kind", "values", "texts"), TYPES, ids=lambda value: str(value)[:20])
def test_a_key_of_any_type_is_as_it_was(
    artifact: Path, tmp_path: Path, kind: pa.DataType, values: list[Any], texts: list[str] | None
) -> None:
    keys = pa.array(values, kind) if not pa.types.is_dictionary(kind) else pa.array(values).dictionary_encode()
    features = {name: ["1", "2", "3"] for name in CLICK_SPEC.feature_names}
    pq.write_table(pa.table(features | {"the key": keys}), tmp_path / "rows.parquet")
    score(artifact, tmp_path / "rows.parquet", tmp_path / "scores.parquet", "the key", "f0")
    kept = pq.read_table(tmp_path / "scores.parquet")
    assert kept.column("the key").combine_chunks().equals(keys)
    assert kept.column_names == ["the key", "f0", "score"]
    if texts:
        assert score(artifact, tmp_path / "rows.parquet", tmp_path / "scores.csv", "the key")["the key"] == texts
    elif pa.types.is_list(kind):
        with pytest.raises(ScoreError, match=r"^.*scores\.csv: .*list<.*; nothing was written$"):
            score(artifact, tmp_path / "rows.parquet", tmp_path / "scores.csv", "the key")
        assert not (tmp_path / "scores.csv").exists()


TROMSO = pa.array([b"Oslo", b"Troms\xf8", None])


@pytest.mark.parametrize(
    "keys",
    [
        TROMSO.view(pa.string()),
        TROMSO.cast(pa.large_binary()).view(pa.large_string()),
        TROMSO.cast(pa.binary_view()).view(pa.string_view()),
        TROMSO.view(pa.string()).dictionary_encode(),
    ],
    ids=lambda keys: str(keys.type),
)
def test_a_key_of_text_that_is_not_utf8_is_as_it_was(artifact: Path, tmp_path: Path, keys: Any) -> None:
    rows = tmp_path / "rows.parquet"
    pq.write_table(pa.table({name: ["1", "2", "3"] for name in CLICK_SPEC.feature_names} | {"the key": keys}), rows)
    found = score(artifact, rows, tmp_path / "scores.csv", "the key")
    assert found["the key"] == ["Oslo", "Troms\udcf8", ""] and None not in found["score"]
    score_files(artifact, FileRows([rows], CLICK_SPEC, ["the key"]), tmp_path / "scores.parquet")
    assert pq.read_table(tmp_path / "scores.parquet").column("the key").combine_chunks().equals(keys)


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
def test_options_for_values_leave_keys_as_they_are(artifact: Path, tmp_path: Path, name: str) -> None:
    columns = {"d0": ["-", "1970-01-02"], "d1": ["", "86400"], "f0": ["1", "1"], "f1": ["f", "f"], "f2": ["-", "x"]}
    if name == "rows.csv":
        (tmp_path / name).write_text("\n".join(map(",".join, [columns, *zip(*columns.values(), strict=True)])))
    else:
        pq.write_table(pa.table(columns), tmp_path / name)
    source = FileRows([tmp_path / name], CLICK_SPEC, ["d0", "f2"], missing=["-"], timestamps=True)
    (part,) = source.read()
    assert not part.bad.any()
    assert np.isnan(part.batch.dense[0]).all() and (part.batch.dense[1] == 86400).all()
    assert part.batch.ids[0, 2] == 0
    score_files(artifact, source, tmp_path / "scores.csv")
    found = read(tmp_path / "scores.csv")
    assert (found["d0"], found["f2"]) == (["-", "1970-01-02"], ["-", "x"])


@pytest.mark.parametrize("output", ["scores.csv", "scores.parquet"])
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_key_that_folders_give(artifact: Path, tmp_path: Path, suffix: str, output: str) -> None:
    for day in ("1", "2"):
        (tmp_path / "rows" / f"day={day}").mkdir(parents=True)
        write(tmp_path / "rows" / f"day={day}" / f"part.{suffix}", False)
    found = score(artifact, tmp_path / "rows", tmp_path / output, "day", "f0")
    assert found["day"] == ["1"] * ROWS + ["2"] * ROWS
    assert [*map(int, found["f0"])] == [*range(ROWS)] * 2
    assert found["score"][:ROWS] == found["score"][ROWS:]


def test_keys_of_files_that_differ_in_their_type_are_text(artifact: Path, tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    features = {name: ["1"] for name in CLICK_SPEC.feature_names}
    typed = (("a", pa.array([7])), ("b", pa.array([None])), ("c", pa.array([True])), ("d", pa.array(["u1"])))
    for name, keys in typed:
        pq.write_table(
            pa.table(features | {"the key": keys, "number": pa.array([None if name == "b" else 5])}), folder / name
        )
    (folder / "e.csv").write_text("the key,d0,d1,f0,f1,f2,number\n007,1,1,1,1,1,5\n")
    for output in ("scores.csv", "scores.parquet"):
        found = score(artifact, folder, tmp_path / output, "the key")
        assert [key or "" for key in found["the key"]] == ["7", "", "true", "u1", "007"]
    (folder / "e.csv").unlink()
    score(artifact, folder, tmp_path / "scores.parquet", "number")
    assert pq.read_table(tmp_path / "scores.parquet").column("number").to_pylist() == [5, None, 5, 5]


def test_text_that_is_no_utf_8_is_kept_by_csv_and_refused_by_parquet(artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(b"key,d0,d1,f0,f1,f2\ncaf\xe9,1,2,3,f,x\n")
    score(artifact, tmp_path / "rows.csv", tmp_path / "scores.csv", "key")
    assert (tmp_path / "scores.csv").read_bytes().startswith(b"key,score\ncaf\xe9,0.")
    with pytest.raises(ScoreError, match=r"'caf\\udce9' is not UTF-8, which Parquet asks for; CSV takes it as it is"):
        score(artifact, tmp_path / "rows.csv", tmp_path / "scores.parquet", "key")
    assert not (tmp_path / "scores.parquet").exists()


@pytest.mark.parametrize("output", ["scores.csv", "scores.parquet"])
def test_no_rows_and_none_that_can_be_scored(artifact: Path, tmp_path: Path, output: str) -> None:
    (tmp_path / "rows.csv").write_text("key,d0,d1,f0,f1,f2\n")
    source = FileRows([tmp_path / "rows.csv"], CLICK_SPEC, ["key"])
    assert score_files(artifact, source, tmp_path / output) == 0
    if output == "scores.csv":
        assert (tmp_path / output).read_text() == "key,score\n"
    else:
        assert read(tmp_path / output) == {"key": [], "score": []}
    before = (tmp_path / output).read_bytes()
    (tmp_path / "rows.csv").write_text("key,d0,d1,f0,f1,f2\na,x,1,1,1,1\nb,1\n")
    with pytest.raises(ScoreError, match="none of the 2 rows can be scored; nothing was written"):
        score_files(artifact, FileRows([tmp_path / "rows.csv"], CLICK_SPEC, ["key"]), tmp_path / output)
    assert (tmp_path / output).read_bytes() == before


def test_outputs_that_are_refused_before_anything_is_read(artifact: Path, labelled: Path, tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "rows.csv").write_text("d0,d1,f0,f1,f2,score\n1,1,1,1,1,1\n")
    (tmp_path / "link.csv").symlink_to("rows.csv")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "model.csv").symlink_to(artifact)
    before = sorted(tmp_path.iterdir())
    for output, keys, sentence in [
        ("scores", (), "scores: scores are written as .csv or .parquet"),
        ("scores.csv.gz", (), "scores are written as .csv or .parquet"),
        ("folder.csv", (), "folder.csv: a folder, a pipe or a device, not a file"),
        ("pipe.csv", (), "pipe.csv: a folder, a pipe or a device, not a file"),
        ("rows.csv", (), "rows.csv is one of the files to be read"),
        ("link.csv", (), "link.csv is one of the files to be read"),
        ("model.csv", (), "model.csv is one of the files to be read"),
        ("none/scores.csv", (), "none/scores.csv: No such file or directory; nothing was written"),
        ("none/scores.parquet", (), "none/scores.parquet: No such file or directory; nothing was written"),
        ("circle/scores.csv", (), "circle/scores.csv: Too many levels of symbolic links; nothing was written"),
        ("rows.csv/scores.csv", (), "rows.csv/scores.csv: Not a directory; nothing was written"),
        ("scores.csv", ("f0", "f0"), "scores.csv would have two columns called 'f0'"),
        ("scores.csv", ("score",), "scores.csv would have two columns called 'score'"),
    ]:
        with pytest.raises(OutputError) as refused:
            score_files(artifact, FileRows([tmp_path / "rows.csv"], CLICK_SPEC, keys), tmp_path / output)
        assert sentence in str(refused.value)
    for clicks, key, sentence in [
        (tmp_path / "rows.csv", "id", "rows.csv: no column 'id'; there are 'd0', 'd1', 'f0', 'f1', 'f2', 'score'"),
        (labelled, "id", "clicks: no column 'id' in lines of Criteo's form"),
    ]:
        with pytest.raises(ClickError, match=sentence):
            score(artifact, clicks, tmp_path / "scores.csv", key)
    assert sorted(tmp_path.iterdir()) == before


def test_a_link_goes_on_leading_to_the_scores(artifact: Path, labelled: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "scores.csv").symlink_to("disk/today.csv")
    assert len(score(artifact, labelled, tmp_path / "scores.csv")["score"]) == ROWS
    assert (tmp_path / "scores.csv").is_symlink() and (tmp_path / "disk" / "today.csv").is_file()


@pytest.mark.parametrize("output", ["scores.csv", "scores.parquet"])
def test_what_was_there_stays_until_the_scores_are_whole(
    artifact: Path, tmp_path: Path, labelled: Path, output: str
) -> None:
    (tmp_path / output).write_text("yesterday's")
    packed = gzip.compress(labelled.read_bytes())
    (tmp_path / "rows.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(ClickError, match=r"rows.gz: damaged after line \d{4}"):
        score(artifact, tmp_path / "rows.gz", tmp_path / output)
    with (
        files_no_larger_than(4096),
        pytest.raises(ScoreError, match=rf"{output}: File too large; nothing was written"),
    ):
        score(artifact, labelled, tmp_path / output)
    assert (tmp_path / output).read_text() == "yesterday's"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.gz", output]


class Interrupted(FileRows):
    """Somebody presses Ctrl-C as the second table is read."""

    def read(self) -> Iterator[KeyedRows]:
        for number, part in enumerate(super().read()):
            if number:
                signal.raise_signal(signal.SIGINT)
            yield part


@pytest.mark.parametrize("output", ["scores.csv", "scores.parquet"])
def test_ctrl_c_leaves_nothing(artifact: Path, labelled: Path, tmp_path: Path, output: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        score_files(artifact, Interrupted([labelled], CLICK_SPEC), tmp_path / output)
    assert not list(tmp_path.iterdir())


def test_the_server_gives_the_same_scores(artifact: Path, tmp_path: Path) -> None:
    rows = [line.partition("\t")[2] for line in lines(500)]
    (tmp_path / "rows").write_text("\n".join(rows))
    found = score(artifact, tmp_path / "rows", tmp_path / "scores.csv")["score"]
    with running(artifact.parents[2]) as server:
        kind = {"Content-Type": "text/tab-separated-values"}
        answer = httpx.post(f"{server.url}/v1/score", content="\n".join(rows), headers=kind).json()
    assert found == answer["scores"]
