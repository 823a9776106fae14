from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thimble.export.clicks.value_options import as_moment
from thimble.models.conversions import FROM_TEXT, FROM_VALUES, IDS, BadValueError, Reading, exact_number
from thimble.models.features import FeatureError, column_from_text, column_from_values
from thimble.models.inputs import Feature, ValueKind
from thimble.models.plain_values import is_number_text

KINDS: list[ValueKind] = ["number", "int", "hex", "string"]
LONG = 1_000_000

# The letters of numbers, lengths about each limit, and what is in no number.
TEXTS = (
    st.text("0123456789+-.eE_ afx\u0663\udcff", max_size=12)
    | st.builds(str.__mul__, st.sampled_from("01f.x"), st.sampled_from([8, 14, 15, 16, 38, 39, 99, 100, 101, 5000]))
    | st.sampled_from([str(n) for n in ((1 << 60) - 1, 1 << 60, (1 << 128) - (1 << 103), (1 << 128) - (1 << 104))])
    | st.sampled_from(["", "3.4028235677973366e38", "3.4028235677973362e38", "1e999", "-1e-999", "nan", "inf", "0x1"])
)
VALUES: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.floats()
    | st.sampled_from([-1, 0, (1 << 60) - 1, 1 << 60, (1 << 128) - (1 << 103), (1 << 128) - (1 << 104), -(1 << 20_000)])
    | st.lists(st.none(), max_size=1)
    | TEXTS
)


@pytest.mark.parametrize("beginning", ["1", "1.", "-1", "1e1", "1111-11-11", "a"])
@pytest.mark.parametrize("end", ["x", "", " ", "e"])
def test_a_long_value_is_read_in_one_go(beginning: str, end: str) -> None:
    token = beginning + "1" * LONG + end
    assert is_number_text(token) in (True, False)
    assert exact_number(token) is None and as_moment(token) == as_moment(token.strip())
    for kind in KINDS:
        for column in (column_from_text, column_from_values):
            try:
                assert len(column(Feature("f", kind), ["", token])) == 2
            except FeatureError as error:
                assert error.row == 1 and len(str(error)) < 130


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_a_value_is_good_if_it_is_taken(kind: ValueKind, data: st.DataObject) -> None:
    check(FROM_TEXT[kind], data.draw(TEXTS))
    check(FROM_VALUES[kind], data.draw(VALUES))
    check(IDS, data.draw(VALUES))


def check(reading: Reading, value: Any) -> None:
    """As it stands, made plain, and among others."""
    for it in (value, reading.plain(value)):
        good = reading.is_good(it)
        assert taken(reading.convert, [it]) == good
        assert taken(reading.convert, [reading.missing, it, reading.missing]) == good


def taken(convert: Callable[[Any], Any], values: list[Any]) -> bool:
    try:
        return len(convert(values)) == len(values)
    except BadValueError:
        return False


@pytest.mark.parametrize("rows", [1, 64, 65, 1000])
def test_the_first_bad_value_of_many_is_found_wherever_it_stands(rows: int) -> None:
    for row in {0, 1, rows // 2, rows - 2, rows - 1} & {*range(rows)}:
        values = ["1"] * row + ["x"] + ["1", "y"] * rows
        with pytest.raises(FeatureError) as refused:
            column_from_text(Feature("f", "number"), values)
        assert (refused.value.row, str(refused.value)) == (row, "f: 'x' is not a finite number")
