from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testing.clicks import CLICK_SPEC, everything, lines, numbers, write_lines
from thimble.export.clicks.file_rows import FileRows
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.rows import ClickError
from thimble.export.training.schema import OwnModel

NAMES = ["label", *CLICK_SPEC.feature_names]
ROW = ["1", "3", "2.5", "7", "1f", "Oslo"]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["clicks", "clicks.csv", "clicks.tsv", "clicks.txt"])
@pytest.mark.parametrize("start", ["", "\ufeff", "\n\r\n"])
def test_the_names_say_what_separates_them(tmp_path: Path, separator: str, name: str, start: str) -> None:
    path = tmp_path / name
    header = ["note", *NAMES[::-1]]
    rows = [["a", *ROW[::-1]], [f'"b{separator}"', *ROW[:0:-1], '"0"'], ["c", "too few"]]
    path.write_text(start + "".join(separator.join(row) + "\n" for row in [header, *rows]))
    source = FileClicks([path], CLICK_SPEC)
    clicks = everything(source)
    assert clicks.labels.tolist() == [1, 0]
    assert clicks.batch.dense.tolist() == [[3, 2.5]] * 2
    assert clicks.batch.ids[:, :2].tolist() == [[7, 31]] * 2
    line = 4 + start.count("\n")
    assert list(source.bad.first.values()) == [f"{name} line {line}: 7 columns expected, found 2"]


FOREIGN: list[tuple[str, str]] = [
    ("label, d0, d1, f0, f1, f2", "'d0'; there are 'label', ' d0', ' d1', ' f0', ' f1', ' f2'; blanks around a name "),
    ("label;d0;d1;f0;f1", "'f2'; there are 'label', 'd0', 'd1', 'f0', 'f1'"),
    ("id;preis;stadt", "'label'; there are 'id', 'preis', 'stadt'"),
    ("Label,d0,d1,f0,f1,f2", "'label'; there are 'Label', 'd0', 'd1', 'f0', 'f1', 'f2'; did you mean 'Label'?"),
    ("la\x1b[31mbel\x07,d0", "'label'; there are 'la\\x1b[31mbel\\x07', 'd0'"),
    ("label,d0,d1,f0,f1,f\udce0", "'f2'; there are 'label', 'd0', 'd1', 'f0', 'f1', 'f\\udce0'; it is not UTF-8"),
    ("l\0a\0b\0e\0l\0", "'label'; there are 'l\\x00a\\x00b\\x00e\\x00l\\x00'; it looks like UTF-16: save it as UTF-8"),
    (",".join(ROW), "'label'; there are '1', '3', '2.5', '7', '1f', 'Oslo'"),
    (
        ",".join(f"c{i}" for i in range(5000)),
        "'label'; there are 'c0', 'c1', 'c2', 'c3', 'c4', 'c5', 'c6', 'c7', 'c8',",
    ),
    ("x" * 5000, f"'label'; there are '{'x' * 39}..."),
]


@pytest.mark.parametrize(("header", "sentence"), FOREIGN)
def test_a_header_without_a_column(tmp_path: Path, header: str, sentence: str) -> None:
    path = tmp_path / "clicks.csv"
    path.write_bytes(f"{header}\n{','.join(ROW)}\n".encode("utf-8", "surrogateescape"))
    with pytest.raises(ClickError) as refused:
        FileClicks([path], CLICK_SPEC)
    said = str(refused.value)
    assert said.startswith(f"clicks.csv: no column {sentence}")
    assert len(said) < 500 and said.isprintable()


def test_a_header_of_another_file_is_not_taken_for_criteo_lines(tmp_path: Path) -> None:
    """Read by position, the two numbers would have been taken one for the other."""
    path = tmp_path / "clicks.tsv"
    path.write_text("clicked\td1\td0\tf0\tf1\tf2\n1\t2\t3\t4\t5\ts\n")
    with pytest.raises(ClickError, match=r"^clicks\.tsv: no column 'label'; there are 'clicked', 'd1', 'd0', "):
        FileClicks([path], CLICK_SPEC)
    assert everything(FileClicks([path], CLICK_SPEC, "clicked")).batch.dense.tolist() == [[3, 2]]


OWN = OwnModel(name="shop", dense=["age", "income"], fields={"int": ["user"], "string": ["item"]}).spec()


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("y\tuser_id\titem_id\tAge\tIncome", "1\t7\t3\t30\t100"),
        ("\ny\tAge\tIncome\tuser_id\titem_id\r", "1\t30\t100\t7\t3\r"),
        ('"y"\t"user_id"\t"item_id"\t"Age"\t"Income"', "1\t7\t3\t30\t100"),
        ("user_id\titem_id\tAge\tIncome", "7\t3\t30\t100"),
    ],
)
def test_a_header_with_none_of_the_names_is_one(tmp_path: Path, header: str, row: str) -> None:
    """Read by position, all columns would have been taken for others."""
    path = tmp_path / "clicks.tsv"
    path.write_text("\n".join([header, *[row] * 3, ""]), newline="")
    with pytest.raises(ClickError, match=r"^clicks\.tsv: no column 'label'; there are '.+_id'"):
        FileClicks([path], OWN)
    with pytest.raises(ClickError, match=r"^clicks\.tsv: no column 'age'; there are .*; did you mean 'Age'\?$"):
        FileRows([path], OWN)


@pytest.mark.parametrize(
    "first",
    [
        "x\ta\tb\t7\ts",
        "\ta\tb\tc\ts",
        "1\ta\tb\tc\ts",
        "x\ta\t\tc\ts",
        "x\ta\tNA\tc\ts",
        "x\tnone yet\tb\tc\ts",
        "x\ta\tb\tc\t",
        "x",
    ],
)
def test_a_bad_first_line_is_no_header(tmp_path: Path, first: str) -> None:
    path = write_lines(tmp_path / "clicks.tsv", [first, "1\t30\t100\t7\ts"])
    source = FileClicks([path], OWN, missing=["none yet"])
    assert numbers(source.read(0, 2, 10)) == [7]
    assert source.bad.count == 1
    (rows,) = FileRows([path], OWN, missing=["none yet"]).read()
    assert not rows.bad[1]


def test_a_label_that_is_not_read_makes_no_header(tmp_path: Path) -> None:
    (rows,) = FileRows([write_lines(tmp_path / "clicks", ["yes\t30\ta\t7\ts", "no\t30\t100\t7\ts"])], OWN).read()
    assert rows.bad.tolist() == [True, False]


def test_a_column_that_is_there_twice(tmp_path: Path) -> None:
    path = tmp_path / "clicks.csv"
    path.write_text(",".join([*NAMES, "f1"]) + "\n")
    with pytest.raises(ClickError, match=r"^clicks\.csv: 2 columns are called 'f1'$"):
        FileClicks([path], CLICK_SPEC)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(exclude_characters="\t\r\n", codec="utf-8"), max_size=8), min_size=1))
def test_criteo_lines_are_no_header_whatever_their_text(tmp_path: Path, texts: list[str]) -> None:
    rows = [line.rpartition("\t")[0] + f"\t{text}" for line, text in zip(lines(len(texts)), texts, strict=True)]
    source = FileClicks([write_lines(tmp_path / "clicks", rows)], CLICK_SPEC)
    assert numbers(source.read(0, source.count(), 100)) == list(range(len(texts)))
