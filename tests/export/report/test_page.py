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
from thimble.export.metrics.held_out import held_out_metrics
from thimble.export.metrics.scored import ScoredRows
from thimble.export.report import tables
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


@pytest.mark.parametrize("rows", ["one class", "certain"])
def test_what_is_undefined_for_the_model_is_so_for_the_constant(rows: str) -> None:
    labels, scores = map(np.array, ROWS[rows])
    metrics = held_out_metrics(labels, scores, groups=np.zeros(len(labels)))
    model, constant = tables.compared({"model.onnx": metrics}, "").rows
    assert [bool(cell) for cell in model] == [bool(cell) for cell in constant]
    assert constant[1] == ("0.0000" if rows == "one class" else "0.6365")


def test_of_sampled_negatives_what_is_said_is_said_of_the_full_log(tmp_path: Path) -> None:
    sampled = ScoredRows(0.1)
    sampled.add(np.array([0, 1] * 500, np.float32), np.linspace(0.05, 0.15, 1000, dtype=np.float32))
    models = {"model.onnx": sampled.metrics()}
    evaluation_page(small_spec(), "clicks.csv", models, sampled.curves(), 0.1).write(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "model.onnx scored 1,000 rows, base rate 9.09% of the full log." in page and "of them clicked" not in page
    assert "<dt>negatives kept in these rows</dt><dd>0.1, which the figures make up for</dd>" in page
    assert "20 bins of equal weight" in page and "Share of the full log&#39;s rows by score." in page


def test_models_that_left_out_other_rows_are_told_so(tmp_path: Path) -> None:
    many, few = scored(60).metrics(), scored(50).metrics()
    for other, said in ((many, False), (few, True)):
        models = {"model.onnx": many, "other.onnx": other}
        evaluation_page(small_spec(), "clicks.csv", models, scored(60).curves()).write(tmp_path / "page.html")
        assert ("Not all of them scored the same rows" in (tmp_path / "page.html").read_text()) == said


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
