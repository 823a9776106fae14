import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thimble.export.report.numbers import count, duration, figure, short, span
from thimble.export.report.svg import HEIGHT, WIDTH, Bars, Line, axis, plot

VALUES = st.lists(st.floats(1e-9, 1e12) | st.floats(-1e6, 1e6), min_size=1, max_size=5)


@given(VALUES)
def test_an_axis_holds_all_values_between_round_numbers(values: list[float]) -> None:
    found = axis("", values, short)
    room = 1e-6 * (found.high - found.low)
    assert found.low <= min(values) + room and max(values) - room <= found.high
    places = [place for place, _ in found.ticks]
    assert places == sorted(set(places)) and 2 <= len(places) <= 12
    assert all(0 <= found.share(value) <= 1 for value in values)


@pytest.mark.parametrize(
    ("values", "zero", "labels"),
    [
        ([0.43, 0.61], False, ["0.4", "0.45", "0.5", "0.55", "0.6", "0.65"]),
        ([3_200_000], True, ["0", "1M", "2M", "3M", "4M"]),
        ([0], True, ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        ([0.5, 0.5], False, ["0.49", "0.495", "0.5", "0.505", "0.51"]),
    ],
)
def test_ticks_are_round(values: list[float], zero: bool, labels: list[str]) -> None:
    assert [text for _, text in axis("", values, short, zero).ticks] == labels


def test_a_plot_is_xml_in_which_everything_is_inside_and_nothing_is_markup() -> None:
    x, y = axis("<rows>", [0, 10], short), axis("", [0, 1], short)
    marks: list[Line | Bars] = [
        Line('a "name" & <b>', "a", [(0, 0), (5, 2), (10, -1)]),
        Line("alone", "b", [(3, 0.5)], [(0.2, 0.8)]),
        Bars("bars", "b", [(0, 5, 0, 0.5)]),
    ]
    svg = plot("<script>alert(1)</script>", x, y, marks)
    drawn = ElementTree.fromstring(svg)
    assert drawn.attrib["aria-label"] == "<script>alert(1)</script>"
    assert 'a "name" & <b>' in [text.text for text in drawn.iter("text")]
    for circle in drawn.iter("circle"):
        assert 0 < float(circle.attrib["cx"]) < WIDTH and 0 < float(circle.attrib["cy"]) < HEIGHT
    assert not re.search(r"style=|nan|inf", svg)


def test_numbers() -> None:
    assert (count(1234567), short(1_500_000), short(0.30000000000000004)) == ("1,234,567", "1.5M", "0.3")
    figures = [figure(value) for value in (None, 0, 0.5, 1.23456, 0.000123)]
    assert figures == ["", "0.0000", "0.5000", "1.2346", "0.000123"]
    assert (span((0.1, 0.25)), span(None)) == ("0.1000 to 0.2500", "")
    times = [duration(seconds) for seconds in (4.21, 59.9, 200, 3599.7, 3720)]
    assert times == ["4.2 s", "59.9 s", "3 min 20 s", "1 h 00 min", "1 h 02 min"]


def test_a_legend_has_as_many_lines_as_it_needs_above_the_plot() -> None:
    x, y = axis("", [0, 1], short), axis("", [0, 1], short)
    names = [f"a curve of number {n}" for n in range(5)]
    few, many = (
        ElementTree.fromstring(plot("", x, y, [Line(name, "b", [(0, 0), (1, 1)]) for name in shown]))
        for shown in (["one", ""], names)
    )
    assert few.attrib["viewBox"] == f"0 0 {WIDTH} {HEIGHT}"
    assert [path.attrib["class"] for path in few.iter("path")].count("b key") == 1, "what has no name has no key"
    _, top, _, height = map(float, many.attrib["viewBox"].split())
    assert top < 0 and top + height == HEIGHT
    places = [(float(text.attrib["x"]), float(text.attrib["y"])) for text in many.iter("text") if text.text in names]
    assert len(set(places)) == 5 and len({up for _, up in places}) == 3
    assert all(top < up <= 16 and across + 100 < WIDTH for across, up in places)


def test_labels_do_not_lie_on_each_other() -> None:
    x, y = axis("", [0, 10], short), axis("", [0, 1], short)
    crowd = [(1 + 0.1 * n, 0.5 + 0.001 * n) for n in range(9)]
    marks = [
        Line("crowd", "a", crowd, labels=[f"{n}x" for n in range(9)]),
        Line("others", "b", [(1.2, 0.5), (9.99, 0.1), (5, 0.9)], labels=["hidden", "at the edge", ""]),
    ]
    drawn = ElementTree.fromstring(plot("", x, y, marks))
    labels = [text for text in drawn.iter("text") if "label" in text.attrib.get("class", "")]
    assert [text.text for text in labels] == ["0x", "4x", "8x", "at the edge"]
    assert float(labels[-1].attrib["x"]) < WIDTH and labels[-1].attrib["class"] == "end label"
