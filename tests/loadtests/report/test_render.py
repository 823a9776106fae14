import json
import re
import shutil
from pathlib import Path

import pytest

from testing.chromium import answer
from tests.loadtests.report.comparisons import comparison
from thimble.loadtests.report.charts import charts
from thimble.loadtests.report.render import render
from thimble.loadtests.results.comparison import Comparison
from thimble.loadtests.results.run import GOING_ON

FRAME = Path(__file__).with_name("frame.html")


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    page = render(comparison(), tmp_path / "report.json").html.read_text()
    assert set(re.findall(r"https?://[^/\"' ]+", page)) <= {"http://www.w3.org"}  # names of XML, not addresses
    assert not re.search(r"<(script|link(?! rel=\"icon\" href=\"data:,\")|img|iframe)", page)
    assert not re.search(r"@import|url\((?!#)", page)
    assert page.count("<svg") == 5
    assert len(page) < 300_000


def test_it_says_the_same_in_markdown(tmp_path: Path) -> None:
    text = render(comparison(), tmp_path / "report.json").markdown.read_text()
    assert text.startswith("# A: full tables and B: compressed 10,000x\n")
    assert "| bytes that a release ships | 1,001x |  | A 2 GB, B 2 MB | at least 100x: reached |" in text
    assert "- command: thimble-load compare" in text
    assert "&#" not in text
    tables = re.findall(r"((?:\|.*\n)+)", text)
    assert len(tables) == 8
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_the_headline_says_how_many_ids_a_row_has_where_it_has_bags(tmp_path: Path) -> None:
    found = comparison()
    bag = {"values": 100, "pooling": "sum", "keep": "first", "separator": "|"}
    found.sides["B"].served = {"features": [{"name": "C1", "kind": "hex"}, {"name": "C2", "kind": "hex", "bag": bag}]}
    found.sides["A"].served = found.sides["B"].served
    paths = render(found, tmp_path / "report.json")
    for path in paths:
        assert (
            "How many times better B is than A, with up to 101 ids a row in 2 fields, by the figures"
            in path.read_text()
        )
    for path in render(comparison(), tmp_path / "report.json"):
        assert "How many times better B is than A, by the figures" in path.read_text()


def test_in_a_real_browser_it_fits_a_phone_and_asks_for_nothing(tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("neither Chromium nor Chrome is installed")
    page = render(comparison(), tmp_path / "report.json").html
    (tmp_path / "profile").mkdir()
    path, text = answer(chromium, FRAME, {"/report.html": page.read_bytes()}, tmp_path / "profile")
    assert path == "/found"
    found = json.loads(text)
    assert found["title"] == "A: full tables and B: compressed 10,000x"
    assert found["width"] == found["visible"] <= 360
    assert len(found["charts"]) == 5 and all(300 < width <= 360 for width in found["charts"])
    assert found["fonts"] == ["system-ui, sans-serif"]
    assert found["requests"] == []
    assert found["raw"] > 10
    assert "Where B does not win" in found["headings"]


def test_colours_are_the_pages(tmp_path: Path) -> None:
    for chart in charts(comparison()):
        drawn = set(re.findall(r"#[0-9a-f]{6}", chart.svg))
        assert not drawn, chart.caption
        assert "var(--a)" in chart.svg and "var(--b)" in chart.svg


def test_projections_are_dashed_and_called_so() -> None:
    dashed = [chart for chart in charts(comparison()) if "stroke-dasharray: " in chart.svg]
    assert len(dashed) == 2
    assert all("a projection" in chart.caption for chart in dashed)


@pytest.mark.parametrize("kept", ["nothing", "sides", "a turn", "a round"])
def test_whatever_there_is_until_it_was_cut_short_is_shown(kept: str, tmp_path: Path) -> None:
    whole = comparison()
    found = Comparison(settings=whole.settings)
    if kept != "nothing":
        found.sides, found.empty = whole.sides, whole.empty
    if kept in ("a turn", "a round"):
        found.rounds = [whole.rounds[0]] if kept == "a round" else [{"A": whole.rounds[0]["A"]}]
        found.rates = whole.rates
    found.write(tmp_path / "report.json")
    paths = render(Comparison.read(tmp_path / "report.json"), tmp_path / "report.json")
    for text in (paths.html.read_text(), paths.markdown.read_text()):
        assert GOING_ON in text
        assert ("Where B does not win" in text) == (kept == "a round")
