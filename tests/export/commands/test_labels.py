"""What `--label` says of one answer or several."""

import pytest

from testing.samples import small_spec
from thimble.export.clicks.rows import ClickError
from thimble.export.commands.labels import asked_labels, labels_of
from thimble.models.heads import Head
from thimble.models.spec import answering

CLICK = Head(name="click")


@pytest.mark.parametrize("name", ["label", "a:b", "a b", '"a"', "click:click"])
def test_without_a_comma_all_of_it_is_one_column(name: str) -> None:
    assert asked_labels(name) == (name, ())


@pytest.mark.parametrize(
    ("text", "heads"),
    [
        ("click,conversion", (CLICK, Head(name="conversion"))),
        (" click , conversion ", (CLICK, Head(name="conversion"))),
        ("click,conversion:click", (CLICK, Head(name="conversion", given="click"))),
        ("a:b,c:b", (Head(name="a:b"), Head(name="c:b"))),  # b is none of the names
        ("click,ns:like", (CLICK, Head(name="ns:like"))),
        ('click,"a,b:click"', (CLICK, Head(name="a,b", given="click"))),
        ("a,b:a,c:b", (Head(name="a"), Head(name="b", given="a"), Head(name="c", given="b"))),
    ],
)
def test_commas_make_several_answers(text: str, heads: tuple[Head, ...]) -> None:
    found = asked_labels(text)
    assert found.heads == heads and found.columns == tuple(head.name for head in heads)


def test_quotes_hold_a_single_name_with_a_comma_together() -> None:
    assert asked_labels('"a,b"') == ("a,b", ())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("click,,like", "--label click,,like: a name is empty"),
        ("click,", "--label click,: a name is empty"),
        ("conversion:click,click", "--label conversion:click,click: name click before conversion, which is given it"),
        ("click,a\x00b", "pattern"),
    ],
)
def test_what_names_no_labels(text: str, sentence: str) -> None:
    with pytest.raises(ClickError, match=sentence):
        asked_labels(text)


def test_a_models_labels_are_called_as_its_answers_unless_somebody_says_otherwise() -> None:
    several = answering(small_spec(), (CLICK, Head(name="conversion", given="click")))
    assert labels_of(several, None) == ("click", "conversion")
    assert labels_of(several, "clicked,bought") == ("clicked", "bought")
    assert (labels_of(small_spec(), None), labels_of(small_spec(), "clicked")) == ("label", "clicked")
