import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from testing.chromium import answer
from tests.export.report.test_page import FRAME
from tests.export.tradeoff.made_up import CONFIG, block, grid, outcome
from thimble.export.tradeoff.carry_out import State
from thimble.export.tradeoff.charts import quality_charts
from thimble.export.tradeoff.findings import findings
from thimble.export.tradeoff.grid import FULL, Run, Setting
from thimble.export.tradeoff.outcomes import Outcome
from thimble.export.tradeoff.page import tradeoff_page

WICKED = "<script>wicked = 1</script>"
OF_A_GRID = [outcome(Run(it, seed)) for it in grid(10, 100, 1000, chunks=(4, 8, 16)).settings for seed in range(2)]


def written(folder: Path, outcomes: list[Outcome], failed: dict[Run, str] | None = None) -> str:
    state = State(outcomes, failed or {}, [Run(block(32), 0)])
    page = tradeoff_page(CONFIG, state, findings(outcomes, (), 0.001, CONFIG.validation_rows), 0.001)
    page.write(folder / "report.html")
    return (folder / "report.html").read_text()


def test_the_page_shows_what_came_of_it(tmp_path: Path) -> None:
    page = written(tmp_path, OF_A_GRID, {Run(block(10), 2): "training diverged"})
    assert "<strong>10.0 MB</strong> smallest memory that will do<br>" in page and "± 0.0003; 0.001 less" in page
    assert "and <code>--scheme</code> <code>block</code> <code>--memory-precision</code> <code>fp32</code>" in page
    assert "20 runs of 10 models" in page and "1 failed; 1 left out." in page
    assert "the smallest memory within 0.001 AUC of full tables has 10.0 MB" in page
    assert page.count("<svg") == 6 and 'aria-label="AUC on held-out rows against bytes of the embeddings"' in page
    assert 'aria-label="AUC on validation rows against rows trained on"' in page
    assert "<td>block fp32, chunks of 8, 10x, seed 2</td><td>training diverged</td>" in page
    assert "<td>block fp32, chunks of 8, 32x, seed 0</td>" in page
    assert not re.search(r"\b(nan|inf|None)\b", page)


def test_a_memory_that_chance_may_have_picked_is_not_sure_yet(tmp_path: Path) -> None:
    assert "smallest memory that will do, not yet sure<br>" in written(tmp_path, [ONE, outcome(Run(block(10), 0))])


ONE = outcome(Run(Setting(scheme=FULL), 0))


@pytest.mark.parametrize(
    "outcomes",
    [
        [],
        [ONE],
        [outcome(Run(block(10), 0))],
        [ONE, outcome(Run(block(10), 0))],
        [ONE.model_copy(update={"history": []})],
    ],
    ids=["nothing", "full tables", "one model", "one of each", "no history"],
)
def test_however_far_it_has_come_there_is_a_page(outcomes: list[Outcome], tmp_path: Path) -> None:
    assert not re.search(r"\b(nan|inf|None)\b", written(tmp_path, outcomes))


def test_rows_are_an_axis_only_where_they_differ() -> None:
    more = outcome(Run(block(10), 0)).model_copy(update={"rows": 3000})
    titles = [chart.caption for chart in quality_charts(findings([ONE, more], (), 0.001, 50))]
    charts = list(quality_charts(findings([ONE, more], (), 0.001, 50)))
    assert ["10x</text>" in chart.svg for chart in charts] == [False, False, True, True, True, True]
    assert len(titles) == 6 and sum("against rows trained on" in title for title in titles) == 2


@pytest.mark.parametrize("sizes", [(1000, 1000), (900, 1100), (3, 5 * 10**11)])
def test_bytes_are_an_axis_of_round_numbers(sizes: tuple[int, int]) -> None:
    outcomes = [ONE, *(outcome(Run(block(10 + n), 0), embedding_bytes=n) for n in sizes)]
    chart = next(iter(quality_charts(findings(outcomes, (), 0.001, 50))))
    drawn = ElementTree.fromstring(chart.svg)
    texts = [text.text or "" for text in drawn.iter("text")]
    up = texts.index("bytes of the embeddings")
    ticks = [text for text in texts[:up] if re.fullmatch(r"[125]0*[kMG]?", text)]
    assert 1 <= len(ticks) <= 14
    places = [float(circle.attrib["cx"]) for circle in drawn.iter("circle")]
    assert all(40 < place < 400 for place in places)


def test_in_a_real_browser_it_fits_a_phone_and_asks_for_nothing(tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("neither Chromium nor Chrome is installed")
    long = block(10_000).model_copy(update={"precision": "int4", "hot_rows": True, "epochs": 10})
    longest = outcome(Run(long, 0), seconds=4000).model_copy(update={"rows": 45_840_617})
    page = written(tmp_path, [*OF_A_GRID, longest], {Run(block(10), 2): WICKED})
    (tmp_path / "profile").mkdir()
    path, text = answer(chromium, FRAME, {"/report.html": page.encode()}, tmp_path / "profile")
    assert path == "/found"
    found = json.loads(text)
    assert found["width"] == found["visible"] <= 360
    assert max(found["cut"]) == 0, "on a wide screen no column is"
    assert len(found["charts"]) == 8 and all(300 < width <= 360 for width in found["charts"])
    assert (found["unnamed"], found["outside"], found["requests"], found["scripts"]) == (0, [], [], "undefined")
    assert found["headings"] == ["To know", "In pictures", "All models", "Failed", "Left out", "What was done"]
