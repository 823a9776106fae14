from collections import Counter

import pytest

from thimble.models.bags import Bag
from thimble.models.features import FeatureError, column_from_text, column_from_values, encode_bags
from thimble.models.inputs import Feature, Kind, input_tensors

GENRES = Feature("genres", "int", Bag(values=3, pooling="mean"))


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        ("4|5", [4, 5, 0]),
        ("", [0, 0, 0]),
        ("|||", [0, 0, 0]),
        (" 4 || 5 |", [4, 5, 0]),
        ("4|null|5", [4, 0, 5]),
        ("7", [7, 0, 0]),
        ("1|2|3|4", [1, 2, 3]),
    ],
)
def test_text_is_split_at_the_separator(value: str, ids: list[int]) -> None:
    assert column_from_text(GENRES, [value]).tolist() == [ids]
    assert column_from_values(GENRES, [value]).tolist() == [ids]


@pytest.mark.parametrize(
    ("value", "ids"),
    [([4, 5], [4, 5, 0]), ([], [0, 0, 0]), (None, [0, 0, 0]), ([None, 4, "", "5"], [4, 5, 0]), (9, [9, 0, 0])],
)
def test_lists_are_bags_too(value: object, ids: list[int]) -> None:
    assert column_from_values(GENRES, [value]).tolist() == [ids]


@pytest.mark.parametrize(("kind", "written"), [("int", [1, 27]), ("hex", ["01", "1b"]), ("string", ["1", "ab"])])
def test_lists_and_text_of_every_kind_are_alike(kind: Kind, written: list[int | str]) -> None:
    feature = Feature("f", kind, Bag(values=4, pooling="sum", separator=";"))
    text = ";".join(map(str, written))
    assert column_from_text(feature, [text]).tolist() == column_from_values(feature, [written]).tolist()
    assert column_from_values(feature, [text]).tolist() == column_from_values(feature, [written]).tolist()


def test_what_a_bag_has_no_room_for_is_cut_and_counted() -> None:
    cuts = Counter[str]()
    newest = Feature("last", "int", Bag(values=2, pooling="sum", keep="last"))
    assert column_from_values(newest, [[1, 2, 3], [4], [5, 6, 7, 8]], cuts).tolist() == [[2, 3], [4, 0], [7, 8]]
    assert column_from_text(GENRES, ["1|2|3|4"], cuts).tolist() == [[1, 2, 3]]
    assert cuts == {"last": 3, "genres": 1}


def test_an_error_names_the_row_of_the_value() -> None:
    for column in (column_from_text, column_from_values):
        with pytest.raises(FeatureError, match=r"^genres: 'x' is not an integer$") as caught:
            column(GENRES, ["1|2", "", "3|x"])
        assert caught.value.row == 2
    with pytest.raises(FeatureError, match=r"^genres: a list is not an integer$"):
        column_from_values(GENRES, [[1, [2]]])
    with pytest.raises(FeatureError, match=r"^genres: an object is not an integer$"):
        column_from_values(GENRES, [{"a": 1}])


def test_bad_rows_leave_the_good_ones_as_they_are() -> None:
    assert GENRES.bag
    ids, faults, cut = encode_bags("int", GENRES.bag, ["1|2", "x|3|y", "4|5|6|7"], typed=False)
    assert ids[[0, 2]].tolist() == [[1, 2, 0], [4, 5, 6]]
    assert dict(faults) == {1: "'x' is not an integer"}
    assert cut == 1


def test_a_bag_has_a_column_a_value() -> None:
    features = [Feature("a", "int"), GENRES, Feature("n", "number"), Feature("b", "int")]
    _, ids = input_tensors(features)
    assert ids.width == 5
    assert ids.places == (0, slice(1, 4), 4)
    assert [feature.name for feature in ids.columns] == ["a", "genres", "genres", "genres", "b"]
    assert [*ids.columns_of(GENRES)] == [1, 2, 3]


@pytest.mark.parametrize("separator", ["", "ab", "a", "1", "-", "\t", "\n", '"', "\\"])
def test_a_separator_is_one_character_that_is_no_part_of_a_value(separator: str) -> None:
    with pytest.raises(ValueError, match="separator"):
        Bag(values=3, pooling="sum", separator=separator)
