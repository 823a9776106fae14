import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from testing.chromium import answer
from testing.samples import small_spec
from tests.export.report.pages import scored
from thimble.export.metrics.scored import ScoredRows
from thimble.export.report.evaluation import evaluation_page

FRAME = Path(__file__).with_name("frame.html")
WICKED = "<script>wicked = 1</script>&amp;\"'"


def written(folder: Path, rows: ScoredRows, name: str = "clicks.csv") -> str:
    path = folder / "report.html"
    models = {"model.onnx": rows.metrics(), "other": rows.metrics()}
    evaluation_page(small_spec(), name, models, rows.curves()).write(path)
    return path.read_text("utf-8")


def test_the_page_needs_nothing_else_and_runs_nothing(tmp_path: Path) -> None:
    page = written(tmp_path, scored(500), WICKED)
    assert "default-src 'none'; style-src 'unsafe-inline'" in page
    assert not re.search(r"https?://", page)
    assert not re.search(r"<(script|link(?! rel=\"icon\" href=\"data:,\")|img|iframe)|\son\w+=|\sstyle=", page)
    assert not re.search(r"@import|url\(", page)
    assert page.count("<svg") == page.count('role="img" aria-label="') == 2
    assert len(page) < 40_000


def test_names_of_files_may_be_any_bytes(tmp_path: Path) -> None:
    assert r"\udcff.csv" in written(tmp_path, scored(20), "\udcff.csv")


def test_a_page_takes_the_place_of_the_one_before_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    first = written(tmp_path / "new" / "folder", scored(50))
    second = written(tmp_path / "new" / "folder", scored(60))
    assert first != second and [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["report.html"]


ROWS: dict[str, tuple[Any, Any]] = {
    "one row": ([1.0], [0.5]),
    "one class": ([0.0] * 30, np.linspace(0, 0.3, 30)),
    "certain": ([0.0, 1.0, 1.0], [0.0, 1.0, 0.0]),
    "one score": ([0.0, 1.0] * 40, [0.5] * 80),
    "tiny scores": ([0.0] * 999 + [1.0], np.full(1000, 1e-6)),
}


@pytest.mark.parametrize("rows", ROWS)
def test_whatever_the_rows_are_there_is_a_page(rows: str, tmp_path: Path) -> None:
    labels, scores = ROWS[rows]
    found = ScoredRows()
    found.add(np.array(labels, np.float32), np.array(scores, np.float32))
    page = written(tmp_path, found)
    assert not re.search(r"\b(nan|inf|None)\b", page)
    assert "the base rate for all" in page


def test_in_a_real_browser_it_fits_a_phone_and_asks_for_nothing(tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("neither Chromium nor Chrome is installed")
    page = written(tmp_path, scored(2000), WICKED)
    (tmp_path / "profile").mkdir()
    path, text = answer(chromium, FRAME, {"/report.html": page.encode()}, tmp_path / "profile")
    assert path == "/found"
    found = json.loads(text)
    assert found["title"].endswith(f"on {WICKED}")
    assert found["width"] == found["visible"] <= 360
    assert len(found["charts"]) == 2 and all(300 < width <= 360 for width in found["charts"])
    assert (found["unnamed"], found["outside"], found["requests"], found["scripts"]) == (0, [], [], "undefined")
    assert found["lines"] in (["rgb(11, 107, 203)"], ["rgb(109, 179, 255)"])  # the style sheet's, in light or dark
    assert found["headings"][:2] == ["In pictures", "Against a constant and other models"]


def test_a_model_of_numbers_alone_has_no_fields_to_show(tmp_path: Path) -> None:
    spec, rows = small_spec(kinds=()), scored(50)
    evaluation_page(spec, "clicks.csv", {"model.onnx": rows.metrics()}, rows.curves()).write(tmp_path / "page.html")
    assert "The largest fields" not in (tmp_path / "page.html").read_text()
