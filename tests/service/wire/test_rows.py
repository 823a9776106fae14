import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testing.samples import small_spec
from thimble.export.clicks.encoding import read_labels
from thimble.models.inputs import Kind
from thimble.service.errors import RequestError
from thimble.service.wire.rows import JSON, TSV, RowReader

SPEC = small_spec(kinds=("string", "int", "hex"))
ROWS = RowReader(SPEC, 10)


def body(**features: Any) -> bytes:
    return json.dumps({"features": features}).encode()


def refusal(content: bytes, content_type: str = JSON) -> tuple[int, str]:
    with pytest.raises(RequestError) as caught:
        RowReader(SPEC, 4).read(content_type, content)
    return caught.value.status, caught.value.message


def test_a_scalar_is_shared_and_a_list_has_a_value_a_row() -> None:
    batch = ROWS.json(body(d0=3, d2=[1, None, 2.5], f1=[7, 8, None], f2="ff"))
    assert batch.dense.dtype == np.float32 and batch.ids.dtype == np.int64
    np.testing.assert_array_equal(batch.dense[:, 0], [3, 3, 3])
    np.testing.assert_array_equal(batch.dense[:, 1], [np.nan] * 3)
    np.testing.assert_array_equal(batch.dense[:, 2], [1, np.nan, 2.5])
    np.testing.assert_array_equal(batch.ids, [[0, 7, 255], [0, 8, 255], [0, 0, 255]])


def test_scalars_alone_are_one_row() -> None:
    assert ROWS.json(body(d0=1)).ids.shape == (1, 3)
    assert ROWS.json(body()).dense.shape == (1, 3)


NUMBERS: list[Any] = [
    0,
    -0.0,
    1,
    2.5,
    -7,
    1e-50,
    3e38,
    3.4028235e38,
    3.4028236e38,
    1e39,
    -(10**30),
    None,
    "",
    " ",
    "1",
    True,
    {},
]
TEXTS = ["68fd1e64", "ABCDEF01", "ff", "f" * 15, "f" * 16, "", " ", " " * 8, "68 fd1e6", "+8fd1e64", "ß" * 8, None]
OTHERS: list[Any] = [0, 7, 2**60 - 1, 2**60, -1, 3.0, 3.5, False, {}]


@given(
    st.sampled_from(["hex", "int", "string"]),
    st.dictionaries(st.sampled_from(["d0", "d1", "d2"]), st.sampled_from(NUMBERS)),
    st.dictionaries(st.sampled_from(["f0", "f1", "f2"]), st.sampled_from([*TEXTS, *OTHERS])),
)
def test_a_scalar_is_read_as_a_list_of_one(kind: Kind, numbers: dict[str, Any], tokens: dict[str, Any]) -> None:
    reader = RowReader(small_spec(kinds=(kind, kind, kind)), 4)

    def read(features: dict[str, Any]) -> str:
        try:
            batch = reader.json(body(**features))
        except RequestError as error:
            return error.message.removesuffix(" (index 0)")
        assert batch.dense.dtype == np.float32 and batch.ids.dtype == np.int64
        return repr((batch.dense.tolist(), batch.ids.tolist()))

    features = numbers | tokens
    assert read(features) == read({name: [value] for name, value in features.items()} or {"d0": [None]})


def test_a_list_of_one_is_one_row() -> None:
    assert ROWS.json(body(d0=[1], f0="a")).ids.shape == (1, 3)


def test_blank_and_null_are_missing() -> None:
    batch = ROWS.json(body(d0="", f0=" ", f1="", f2=None))
    assert np.isnan(batch.dense).all() and not batch.ids.any()


def test_json_and_tsv_give_the_same_rows() -> None:
    by_json = ROWS.json(body(d0=[1, 2], d1=[None, 4], d2=0.5, f0=["x", "ß"], f1=[5, None], f2="AbC"))
    plain = "1\t\t0.5\tx\t5\tAbC\n2\t4\t0.5\tß\t\tAbC\n"
    labelled = "0\t1\t\t0.5\tx\t5\tAbC\r\n1\t2\t4\t0.5\tß\t\tAbC"
    for text in (plain, labelled):
        by_tsv = ROWS.tsv(text.encode())
        np.testing.assert_array_equal(by_json.dense, by_tsv.dense)
        np.testing.assert_array_equal(by_json.ids, by_tsv.ids)


@pytest.mark.parametrize(
    ("content", "status", "culprit"),
    [
        (b"", 400, "the body is empty"),
        (b"  \n", 400, "the body is empty"),
        (b'{"features": {"d0": 1', 400, "invalid JSON"),
        (b"[" * 10_000, 400, "invalid JSON"),
        (b'{"features": {"d0": ' + b"[" * 995 + b"]" * 995 + b"}}", 400, "d0: a list is not a number"),
        (b'{"features": {"f2": ' + b'{"a":' * 995 + b"1" + b"}" * 995 + b"}}", 400, "f2: an object is not"),
        (b'{"features": {"d0": NaN}}', 400, "invalid JSON"),
        (b'{"features": {"d0": Infinity}}', 400, "invalid JSON"),
        (b'{"features": {"d0": 1e999}}', 400, ""),
        (b"\xff\xfe", 400, "invalid JSON"),
        (b"[]", 400, "the body must be"),
        (b"{}", 400, "the body must be"),
        (b'{"features": [1]}', 400, "the body must be"),
        (b'{"features": {}, "featuers": {}}', 400, "'featuers'"),
        (body(d9=1), 400, "unknown feature 'd9'"),
        (body(**{"x" * 1000: 1}), 400, "unknown feature 'xxx"),
        (body(d0=[1, 2], d1=[1]), 400, "d0 has 2 values, d1 has 1"),
        (body(d0=[], f0="a"), 400, "d0 is an empty list: 0 rows"),
        (body(d0=[1] * 5), 413, "5 rows are more than the limit of 4"),
        (body(d0="3"), 400, "d0: '3' is not a number"),
        (body(f1=True), 400, "f1: True is not an integer"),
        (body(d0=[1, 1e39]), 400, "d0: 1e+39 is not a finite float32 number (index 1)"),
        (body(d0=[[1], [2]]), 400, "d0: a list is not a number (index 0)"),
        (body(d0={"a": 1}), 400, "d0: an object is not a number"),
        (body(f0=5), 400, "f0: 5 is not a string"),
        (body(f1=9007199254740993.0), 400, "f1: 9007199254740992.0 is a float, which from 2^53 on"),
        (body(f1=1 << 70), 400, "f1: id"),
        (body(f1=1.5), 400, "f1: 1.5 is not an integer"),
        (body(f1="x"), 400, "f1: 'x' is not an integer"),
        (body(f2=["ff", "xyz"]), 400, "f2: 'xyz' is not a hexadecimal token (index 1)"),
        (body(f2="0x1f"), 400, "f2: '0x1f' is not a hexadecimal token"),
        (body(f2="f" * 16), 400, "longer than 15 hexadecimal digits"),
        (body(f2=12), 400, "f2: 12 is not a hexadecimal token in a string"),
    ],
)
def test_bad_json_is_refused_by_name(content: bytes, status: int, culprit: str) -> None:
    found, message = refusal(content)
    assert found == status
    assert culprit in message and "\n" not in message and len(message) < 200


LABELS = ["0", "1", "1.0", " 1", "True", "false", "1e0", "+0"]
NO_LABELS = ["2", "no", "0.5", "0.99999999999999999999", "1e-400", "1e9999999999999999999", "nan", "-", "\ud801"]


@pytest.mark.parametrize("label", [*LABELS, *NO_LABELS], ids=ascii)
def test_a_label_is_what_the_trainer_takes(label: str) -> None:
    _, wrong = read_labels([label])
    assert bool(wrong) == (label in NO_LABELS)
    line = f"{label}\t1\t2\t3\ta\t5\tff".encode("utf-8", "replace")
    if not wrong:
        assert ROWS.tsv(line).dense.tolist() == [[1, 2, 3]]
    else:
        status, message = refusal(line, TSV)
        assert status == 400 and message.startswith("line 1: label ")


@pytest.mark.parametrize(
    ("content", "status", "culprit"),
    [
        (b"\n", 400, "the body is empty"),
        (b"1\t2", 400, "line 1: 2 columns, expected 6, or 7 with a label"),
        (b"1\t2\t3\ta\t5\tff\n1\t2\t3\ta\t5", 400, "line 2: 5 columns, expected 6 as in line 1"),
        (b"0\t1\t2\t3\ta\t5\tff\n1\t2\t3\ta\t5\tff", 400, "line 2: 6 columns, expected 7 as in line 1"),
        (b"0\t1\t2\t3\ta\t5\tff\nno\t1\t2\t3\ta\t5\tff", 400, "line 2: label 'no' is not 0, 1 or blank"),
        (b"1\t2\t3\ta\t5\tff\n\n1\t2\t3\ta\t5\tff", 400, "line 2: 1 columns"),
        (b"1\t2\t3\ta\t5\tff\n1\t2\tx\ta\t5\tff", 400, "line 2: d2: 'x' is not a finite number"),
        (b"1\t2\tinf\ta\t5\tff", 400, "line 1: d2: 'inf'"),
        (b"1\t2\t3\ta\tx\tff", 400, "line 1: f1: 'x'"),
        (b"1\t2\t3\ta\t5\tgg", 400, "line 1: f2: 'gg' is not a hexadecimal token"),
        (b"1\t2\t3\ta\t5\tff\n1\t2\t3\t\xff\t5\tff", 400, "line 2: not valid UTF-8"),
        (b"1\t2\t3\ta\t5\tff\n" * 5, 413, "5 rows are more than the limit of 4"),
    ],
)
def test_bad_lines_are_refused_by_number(content: bytes, status: int, culprit: str) -> None:
    found, message = refusal(content, TSV)
    assert found == status
    assert culprit in message and "\n" not in message and len(message) < 200


def test_integers_in_strings_are_ids_and_so_is_any_of_64_bits() -> None:
    """protobuf's JSON and JavaScript write 64-bit integers as strings."""
    plain, text = (
        ROWS.json(body(f1=values)).ids[:, 1].tolist() for values in ([7, -1, 2**60], ["7", "-1", str(2**60)])
    )
    assert plain == text and plain[0] == 7 and all(plain)


def test_a_whole_row_of_blanks_is_a_row() -> None:
    batch = ROWS.read(TSV, b"\t\t\t\t\t")
    assert np.isnan(batch.dense).all() and not batch.ids.any()


@pytest.mark.parametrize("content_type", ["text/csv", "application/x-www-form-urlencoded", "nonsense" * 100])
def test_other_content_types_are_refused(content_type: str) -> None:
    status, message = refusal(b"x", content_type)
    assert status == 415 and JSON in message and len(message) < 200
