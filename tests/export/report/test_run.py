import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from testing.samples import small_spec
from tests.export.report.pages import HISTORY, scored
from thimble.export.report.run import FinishedRun, run_page
from thimble.export.training.checkpoint import Progress, RunConfig
from thimble.export.training.errors import RunError
from thimble.export.training.history import Point
from thimble.export.training.recipe import Recipe

CONFIG = RunConfig(
    spec=small_spec(),
    source="clicks.csv",
    clicks="clicks",
    held_out_clicks="held out",
    train_rows=400,
    held_out_rows=100,
    recipe=Recipe(batch_size=20, epochs=3),
)


def written(progress: Progress, folder: Path, compared: Sequence[FinishedRun] = ()) -> str:
    run_page(CONFIG, progress, compared).write(folder / "report.html")
    page = (folder / "report.html").read_text()
    assert not re.search(r"\b(nan|inf|None)\b", page)
    return page


def finished() -> Progress:
    rows = scored(100)
    validation = [scored(50, seed).metrics() for seed in (0, 1)]
    return Progress(
        epoch=2,
        rows_trained=800,
        seconds=200,
        history=HISTORY,
        validation=validation,
        metrics=rows.metrics(),
        curves=rows.curves(),
        advice=["still improving; try more --epochs"],
    )


def test_a_finished_run_shows_how_it_went_and_what_it_came_to(tmp_path: Path) -> None:
    page = written(finished(), tmp_path)
    assert "Trained on 800 rows in 3 min 20 s, and judged by 100 rows that were held out." in page
    assert page.count("<svg") == 6
    titles = ["Log loss against rows trained on", "AUC against seconds of training", "Click rate against score"]
    assert all(f'aria-label="{title}"' in page for title in titles)
    assert page.count(", the best</td>") == 1
    assert "<li>still improving; try more --epochs</li>" in page
    assert "<dt>batch size</dt><dd>20</dd>" in page and "<dd>400 of clicks.csv</dd>" in page
    assert "<td>this run</td>" in page and "<td>the base rate for all</td>" in page


def test_a_training_loss_of_sampled_rows_is_called_so(tmp_path: Path) -> None:
    assert "sampled rows" not in written(finished(), tmp_path)
    config = CONFIG.model_copy(update={"recipe": Recipe(batch_size=20, epochs=3, negatives_kept=0.1)})
    run_page(config, finished()).write(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert page.count(">training, sampled rows<") == 2 and ">training loss, sampled rows<" in page


def test_curves_from_before_bins_told_what_they_weigh_are_shown(tmp_path: Path) -> None:
    whole = finished()
    assert "chance alone" in written(whole, tmp_path)
    old = whole.model_dump(mode="json")
    old["curves"]["reliability"] = [found[:4] for found in old["curves"]["reliability"]]
    page = written(Progress.model_validate(old), tmp_path)
    assert "bins of equal weight" in page and "chance alone" not in page


@pytest.mark.parametrize(
    ("history", "plots"),
    [
        ([], 0),
        (HISTORY[:1], 2),  # no validation rows, so no AUC
        (HISTORY[1:2], 4),
        ([Point(epoch=1, rows=5, seconds=0, loss=0.5)], 2),
        ([Point(epoch=1, rows=5, seconds=1, loss=0.5, log_loss=0.5)] * 2, 2),  # validation rows of one class
    ],
)
def test_a_run_can_be_looked_at_at_any_time(history: list[Point], plots: int, tmp_path: Path) -> None:
    page = written(Progress(epoch=1, rows_trained=400, seconds=3.2, history=history), tmp_path)
    assert "Not finished: 1 of at most 3 epochs are done, 400 rows in 3.2 s." in page
    assert page.count("<svg") == plots


def test_other_runs_stand_beside_it_and_those_of_other_rows_are_marked(tmp_path: Path) -> None:
    metrics = scored(100, 1).metrics()
    others = [
        FinishedRun(Path("runs/same"), CONFIG, metrics),
        FinishedRun(Path("runs/other"), CONFIG.model_copy(update={"held_out_rows": 7}), metrics),
    ]
    page = written(finished(), tmp_path, others)
    assert "<td>runs/same</td>" in page and "<td>runs/other\n(on other rows)</td>" in page


def test_a_run_that_is_none_cannot_be_compared_with(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no training run here"):
        FinishedRun.load(tmp_path)
