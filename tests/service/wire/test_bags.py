"""Multi-valued features in requests: all ways to write a bag are read alike, all others are refused in a sentence."""

import json
from collections import Counter
from itertools import chain
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testing.samples import small_spec, with_bags
from tests.service.wire.inference.messages import strings
from thimble.models.bags import Bag
from thimble.models.features import Batch, Cuts, ids_from_text
from thimble.models.hashing import Int64s
from thimble.models.inputs import Kind
from thimble.models.spec import ModelSpec
from thimble.service.errors import RequestError
from thimble.service.wire.inference import InferenceReader
from thimble.service.wire.rows import JSON, TSV, RowReader
from thimble.service.wire.scan import BAG_VALUES, OTHERS

# f0 has 3 values at most (the first of them), f1 one, f2 4 (the last), f3 2; f2's are separated by semicolons
SPEC = with_bags(small_spec(dense=1, kinds=("string", "int", "int", "hex")))
ROWS = 6
SLOTS = 3 + 1 + 4 + 2


class Reader:
    """Both readers, and what they say was cut."""

    def __init__(self, spec: ModelSpec = SPEC, max_rows: int = ROWS) -> None:
        self.cut: Counter[str] = Counter()
        self.rows = RowReader(spec, max_rows, self._add)
        self.inferences = InferenceReader(spec, self.rows)

    def _add(self, cuts: Cuts) -> None:
        self.cut += cuts

    def json(self, **features: Any) -> Batch:
        return self.rows.read(JSON, json.dumps({"features": features}).encode())

    def tsv(self, *lines: str) -> Batch:
        return self.rows.read(TSV, "\n".join(lines).encode())

    def ids(self, data: Any, shape: tuple[int, int], datatype: str = "BYTES") -> Int64s:
        dense = {"name": "dense", "datatype": "FP32", "shape": [shape[0], 1], "data": [0] * shape[0]}
        ids = {"name": "ids", "datatype": datatype, "shape": shape, "data": data}
        return self.inferences.read(json.dumps({"inputs": [dense, ids]}).encode(), None).batch.ids


def text(*values: str) -> list[int]:
    return [*map(int, ids_from_text("", "string", values))]


def refusal(**features: Any) -> str:
    with pytest.raises(RequestError) as caught:
        Reader().json(**features)
    assert caught.value.status == 400
    return caught.value.message


FULL: list[Any] = [*text("a", "b", "c"), 7, *(1, 2, 3, 4), *(0xFF, 0xE)]
SOME: list[Any] = [*text("a"), 0, 0, 7, *(1, 2, 0, 0), *(0xFF, 0)]
NONE: list[Any] = [0, 0, 0, 7, *(0, 0, 0, 0), *(0, 0)]


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ({"f0": "a|b|c", "f1": 7, "f2": "1;2;3;4", "f3": "ff|e"}, [FULL]),
        ({"f0": {"bag": ["a", "b", "c"]}, "f1": 7, "f2": {"bag": [1, 2, 3, 4]}, "f3": {"bag": ["ff", "e"]}}, [FULL]),
        ({"f0": [["a", "b", "c"]], "f1": [7], "f2": [["1", 2, 3, "4"]], "f3": ["ff|e"]}, [FULL]),
        ({"f0": " a | |b||c ", "f1": 7, "f2": ";1;2;3;4;", "f3": {"bag": ["ff", None, " ", "e"]}}, [FULL]),
        ({"f0": "a", "f1": 7, "f2": {"bag": [1, 2]}, "f3": "ff|"}, [SOME]),
        ({"f0": [["a"], "a|b|c", None], "f1": 7, "f2": [[1, 2], "1;2;3;4", []], "f3": ["ff", ["ff", "e"], ""]}, None),
        ({"f1": 7}, [NONE]),
        ({"f0": None, "f1": 7, "f2": {"bag": []}, "f3": "|"}, [NONE]),
        ({"f0": [[], "||", None], "f1": 7, "f2": [[None], ";", " "], "f3": {"bag": [None]}}, [NONE] * 3),
        ({"f0": "a", "f1": [7, 7], "f2": {"bag": [1, 2]}, "f3": "ff"}, [SOME] * 2),
        ({"f1": 7, "f2": 1}, [[0, 0, 0, 7, 1, 0, 0, 0, 0, 0]]),
        ({"f1": 7, "f2": [1, [2], "3"]}, [[0, 0, 0, 7, i, 0, 0, 0, 0, 0] for i in (1, 2, 3)]),
    ],
)
def test_a_bag_is_a_text_or_a_list_and_an_object_is_one_for_all_rows(features: Any, expected: Any) -> None:
    np.testing.assert_array_equal(Reader().json(**features).ids, expected or [SOME, FULL, NONE])


@pytest.mark.parametrize(
    ("features", "sentence"),
    [
        ({"f0": [["a"], ["b", ["c"]]]}, "f0: a list inside a bag, which is a list of values (index 1)"),
        ({"f0": [["a", {"bag": []}]]}, "f0: an object inside a bag, which is a list of values (index 0)"),
        ({"f0": {"bag": [["a"]]}}, "f0: a list inside a bag, which is a list of values"),
        (
            {"f0": ["a", {"bag": ["b"]}]},
            'f0: an object in a list is no bag, which is a list there; {"bag": [...]} is one for all rows (index 1)',
        ),
        ({"f0": {"bag": ["a"], "weights": [0.5]}}, "f0: weighted bags are not supported"),
        ({"f0": [{"bag": ["a"], "weights": [0.5]}]}, "f0: weighted bags are not supported (index 0)"),
        ({"f0": [[{"value": "a", "weight": 0.5}]]}, "f0: weighted bags are not supported (index 0)"),
        ({"f1": {"bag": [1], "weights": [1]}}, "f1: weighted bags are not supported"),
        ({"f0": {"bag": ["a"], "of": 1}}, "f0: unknown key 'of' in an object, which can be {\"bag\": [...]} alone"),
        ({"f0": {}}, "f0: an empty object is no bag"),
        ({"f0": {"bag": "a|b"}}, "f0: bag is 'a|b', not a list of values"),
        ({"f0": {"bag": {"bag": []}}}, "f0: bag is an object, not a list of values"),
        ({"f0": {"bag": None}}, "f0: bag is None, not a list of values"),
        ({"f1": {"bag": [1]}}, "f1: it is a single-valued feature, which takes no bag"),
        ({"f1": [1, {"bag": [1]}]}, "f1: it is a single-valued feature, which takes no bag (index 1)"),
        ({"f1": [[1], [2]]}, "f1: a list is not an integer (index 0)"),
        ({"d0": [[1], [2]]}, "d0: a list is not a number (index 0)"),
        ({"d0": {"bag": [1]}}, "d0: it is a single-valued feature, which takes no bag"),
        ({"f1": "1|2"}, "f1: '1|2' is not an integer"),
        ({"f0": ["a", ["b", 5]]}, "f0: 5 is not a string (index 1)"),
        ({"f0": [["a", True]]}, "f0: True is not a string (index 0)"),
        ({"f2": [[1, True]]}, "f2: True is not an integer (index 0)"),
        ({"f2": [None, [1, 1.5]]}, "f2: 1.5 is not an integer (index 1)"),
        ({"f2": "1;x;2"}, "f2: 'x' is not an integer"),
        ({"f2": "1|2"}, "f2: '1|2' is not an integer"),
        ({"f3": [["ff"], ["zz"]]}, "f3: 'zz' is not a hexadecimal token (index 1)"),
        ({"f3": {"bag": ["e" * 100]}}, f"f3: '{'e' * 39}... is longer than 15 hexadecimal digits"),
        ({"f0": []}, "f0 is an empty list: 0 rows to score"),
        ({"f0": [["a", "b"]], "f1": [1, 2]}, "lists differ in length: f0 has 1 values, f1 has 2"),
    ],
)
def test_what_is_no_bag_is_refused_by_its_feature_and_row(features: Any, sentence: str) -> None:
    assert refusal(**features) == sentence


def test_text_that_no_encoding_has_is_refused_inside_a_bag_too() -> None:
    with pytest.raises(RequestError, match="invalid JSON"):
        Reader().rows.json(b'{"features": {"f0": [["a", NaN]]}}')
    with pytest.raises(RequestError, match="invalid JSON"):
        Reader().rows.json(b'{"features": {"f0": ["\\ud800|a"]}}')


def test_the_first_or_the_last_values_are_kept_and_the_others_counted() -> None:
    reader = Reader()
    expected = [*text("a", "b", "c"), 7, *(3, 4, 5, 6), *(1, 2)]
    features = {"f0": "a|b||c|d|e", "f1": 7, "f2": {"bag": [1, 2, 3, None, 4, 5, 6]}, "f3": [["1", "2", "3"]]}
    np.testing.assert_array_equal(reader.json(**features).ids, [expected])
    assert reader.cut == {"f0": 2, "f2": 2, "f3": 1}
    np.testing.assert_array_equal(reader.tsv("0\ta|b|c|d|e\t7\t1;2;3;4;5;6\t1|2|3").ids, [expected])
    np.testing.assert_array_equal(reader.ids(["a|b|c|d|e", "7", "1;2;3;4;5;6", "1|2|3"], (1, 4)), [expected])
    assert reader.cut == {"f0": 6, "f2": 6, "f3": 3}
    # a row that is alone and has no lists is read by other code
    np.testing.assert_array_equal(reader.json(f0="a|b|c|d").ids[0, :3], text("a", "b", "c"))
    assert reader.cut["f0"] == 7


def test_nothing_is_counted_of_bags_that_are_not_cut_or_of_requests_that_are_refused() -> None:
    reader = Reader()
    reader.json(f0="a|b|c", f2=[[1, 2, 3, 4]])
    with pytest.raises(RequestError):
        reader.json(f0="a|b|c|d", f3="zz")
    assert not reader.cut


def test_lines_have_bags_in_their_columns() -> None:
    batch = Reader().tsv("\ta|b|c\t7\t1;2;3;4\tff|e", "0.5\t a \t7\t1; 2\t|ff", "\t\t7\t;\t")
    np.testing.assert_array_equal(batch.ids, [FULL, SOME, NONE])
    with pytest.raises(RequestError, match=r"^line 2: f2: '3\|4' is not an integer$"):
        Reader().tsv("\ta\t7\t1\tff", "\ta\t7\t3|4\tff")


def test_tensors_have_a_column_a_value_or_as_text_one_a_feature() -> None:
    reader = Reader()
    np.testing.assert_array_equal(reader.ids([FULL, SOME, NONE], (3, SLOTS), "INT64"), [FULL, SOME, NONE])
    gaps = [0, *text("a"), 0, 7, *(1, 0, 2, 0), *(0, 0xFF)]
    np.testing.assert_array_equal(reader.ids(gaps, (1, SLOTS), "INT64"), [gaps])
    values = [["a", "b", "c", "7", *"1234", "ff", "e"], ["", " a", "", "7", "1", "", "", "2", "", "ff"]]
    np.testing.assert_array_equal(reader.ids(values, (2, SLOTS)), [FULL, SOME])
    whole = [["a|b|c", "7", "1;2;3;4", "ff|e"], ["a", "7", "1;2", "ff|"], ["", "7", ";", ""]]
    np.testing.assert_array_equal(reader.ids(whole, (3, 4)), [FULL, SOME, NONE])
    np.testing.assert_array_equal(reader.ids([*chain(*whole)], (3, 4)), [FULL, SOME, NONE])
    assert not reader.cut


def test_a_value_that_is_an_element_is_not_divided() -> None:
    found = Reader().ids(["a|b", "", "", "7", *"1234", "ff", "e"], (1, SLOTS))
    np.testing.assert_array_equal(found[0, :3], [*text("a|b"), 0, 0])


def test_binary_texts_are_read_as_either() -> None:
    for values in (["a", "b", "c", "7", *"1234", "ff", "e"], ["a|b|c", "7", "1;2;3;4", "ff|e"]):
        content = strings(*(value.encode() for value in values))
        dense = {"name": "dense", "datatype": "FP32", "shape": [1, 1], "data": [0]}
        sized = {"shape": [1, len(values)], "parameters": {"binary_data_size": len(content)}}
        header = json.dumps({"inputs": [dense, {"name": "ids", "datatype": "BYTES", **sized}]}).encode()
        batch = Reader().inferences.read(header + content, len(header)).batch
        np.testing.assert_array_equal(batch.ids, [FULL])


@pytest.mark.parametrize(
    ("data", "shape", "datatype", "sentence"),
    [
        ([1] * 9, (1, 9), "INT64", "ids: shape [1, 9] is not [rows, 10]"),
        ([1] * 4, (1, 4), "INT64", "ids: shape [1, 4] is not [rows, 10]"),
        (["1"] * 9, (1, 9), "BYTES", "ids: shape [1, 9] is not [rows, 10] or [rows, 4]"),
        ([1] * 5 + [-1] + [1] * 4, (1, 10), "INT64", "ids: f2 in row 0: id -1 is not in the range 0 to 2^60 - 1"),
        ([1] * 19 + [True], (2, 10), "INT64", "ids: f3 in row 1: True is not an integer"),
        ([[1] * 9 + [[1]]], (1, 10), "INT64", "ids: f3 in row 0: a list is not an integer"),
        (["1"] * 9 + ["zz"], (1, 10), "BYTES", "ids: f3: 'zz' is not a hexadecimal token (row 0)"),
        (["1"] * 6 + ["1;x", "1"], (2, 4), "BYTES", "ids: f2: 'x' is not an integer (row 1)"),
        (["1", ["1"], "1", "1"], (1, 4), "BYTES", "ids: data of datatype BYTES must be strings"),
    ],
)
def test_tensors_are_refused_by_the_feature_of_a_column(data: Any, shape: Any, datatype: str, sentence: str) -> None:
    with pytest.raises(RequestError) as caught:
        Reader().ids(data, shape, datatype)
    assert (caught.value.status, caught.value.message) == (400, sentence)


def test_a_binary_id_is_refused_by_the_feature_of_its_column() -> None:
    ids = np.ones((2, SLOTS), "<i8")
    ids[1, 6] = -1
    dense = {"name": "dense", "datatype": "FP32", "shape": [2, 1], "data": [0, 0]}
    sized = {"name": "ids", "datatype": "INT64", "shape": ids.shape, "parameters": {"binary_data_size": ids.nbytes}}
    header = json.dumps({"inputs": [dense, sized]}).encode()
    with pytest.raises(RequestError, match=r"^ids: f2 is -1 in row 1, not in 0 to 2\^60 - 1$"):
        Reader().inferences.read(header + ids.tobytes(), len(header))


MANY = 200_000
TOO_MANY = rf"f0: \d+ values are more than a request has with {ROWS} rows, which is the limit"


@pytest.mark.parametrize("value", ["|" * MANY, "a|" * MANY, "a| " * MANY])
def test_texts_of_more_values_than_rows_have_are_refused_whatever_they_are(value: str) -> None:
    def refused(read: Any, *given: Any, **named: Any) -> None:
        with pytest.raises(RequestError, match=TOO_MANY) as caught:
            read(*given, **named)
        assert caught.value.status == 413

    refused(Reader().json, f0=value)
    refused(Reader().json, f0=["a", value])
    refused(Reader().tsv, f"0\t{value}\t7\t1\tff")
    refused(Reader().ids, [value, "7", "1", "ff"], (1, 4))


def test_lists_of_more_values_than_rows_have_are_refused_before_they_are_parsed() -> None:
    for piece in (b'"a",', b"null,", b"[],", b'"a",[],'):
        text = b'{"features": {"f0": [[' + piece * MANY + b'"a"]]'
        with pytest.raises(RequestError) as caught:
            Reader().rows.json(text)  # and its end is missing
        assert caught.value.status == 413


def test_as_many_full_bags_as_there_are_rows_are_let_in() -> None:
    spec, rows = with_bags(small_spec(dense=0, kinds=("string",) * 4)), 4000
    bags = {"f0": ["x,[", "y", "z"], "f1": "w", "f2": ["1", "2", "3", "4"], "f3": ["p", "q"]}
    batch = Reader(spec, rows).json(**{name: [bag] * rows for name, bag in bags.items()})
    assert batch.rows == rows and batch.ids.all()
    batch = Reader(spec, rows).json(f0=["a|b|c"] * rows, f2=["a;b;c;d"] * rows)
    assert batch.ids[:, :3].all() and batch.ids[:, 4:8].all()


def test_of_full_bags_no_more_rows_are_parsed_than_make_so_many_values() -> None:
    spec = small_spec(dense=0, kinds=("int",))
    bag = Bag(values=1024, pooling="sum")
    wide = spec.model_copy(update={"fields": [spec.fields[0].model_copy(update={"bag": bag})]})
    reader, most = Reader(wide, 10_000), BAG_VALUES // 1024
    assert reader.json(f0=[[1] * 1024] * most).ids.all()
    with pytest.raises(RequestError, match=rf"^\d+ values are more than a request has with {most} rows, which is"):
        reader.json(f0=[[1] * 1024] * (most + 2))
    assert reader.json(f0=[[1]] * 10_000).rows == 10_000


def test_a_longer_bag_is_cut_where_others_are_shorter() -> None:
    reader = Reader()
    reader.json(f0=["|".join(map(str, range(OTHERS)))])
    assert reader.cut == {"f0": OTHERS - 3}


VALUES: dict[str, list[Any]] = {
    "string": ["a", "b c", " a", "", " ", "ß", None],
    "int": [1, 17, "5", "", " ", None, 2**60 - 1, -1, 2**63],
    "hex": ["ff", "68fd1e64", "", " e ", None],
}


@given(
    st.sampled_from(["string", "int", "hex"]).flatmap(
        lambda kind: st.tuples(st.just(kind), st.lists(st.lists(st.sampled_from(VALUES[kind]), max_size=5), max_size=4))
    ),
    st.integers(1, 4),
    st.sampled_from(["first", "last"]),
    st.sampled_from("|;, "),
)
def test_all_ways_to_write_bags_are_read_alike(
    written: tuple[Kind, list[list[Any]]], values: int, keep: Any, separator: str
) -> None:
    kind, bags = written
    if separator == " ":
        bags = [[value for value in bag if value != "b c"] for bag in bags]
    spec = small_spec(dense=0, kinds=(kind, kind))
    bag = Bag(values=values, pooling="sum", keep=keep, separator=separator)
    spec = spec.model_copy(update={"fields": [spec.fields[0].model_copy(update={"bag": bag}), spec.fields[1]]})
    reader, rows = Reader(spec), len(bags)
    texts = [separator.join("" if value is None else str(value) for value in bag) for bag in bags]
    expected = [reader.json(f0={"bag": bag}).ids[0] for bag in bags]
    cut, reader.cut = reader.cut, Counter()
    for row, line, ids in zip(bags, texts, expected, strict=True):
        for one in (line, [line], [row]):
            np.testing.assert_array_equal(reader.json(f0=one).ids, [ids])
    assert reader.cut == Counter({name: 3 * count for name, count in cut.items()})
    if rows:
        reader.cut = Counter()
        np.testing.assert_array_equal(reader.json(f0=bags).ids, expected)
        np.testing.assert_array_equal(reader.json(f0=texts).ids, expected)
        np.testing.assert_array_equal(reader.tsv(*(f"{line}\t" for line in texts)).ids, expected)
        if values > 1:
            whole = [token for line in texts for token in (line, "")]
            dense_free = {"name": "ids", "datatype": "BYTES", "shape": [rows, 2], "data": whole}
            found = reader.inferences.read(json.dumps({"inputs": [dense_free]}).encode(), None).batch.ids
            np.testing.assert_array_equal(found, expected)
