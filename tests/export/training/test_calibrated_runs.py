"""A run whose scores are scaled to fit its validation rows, in its file as well."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from testing.clicks import RARE_SPEC, ClicksInMemory, part, rare_clicks, sampled
from thimble.export.artifact.agreement import onnx_scores, onnx_session
from thimble.export.artifact.pipeline import export
from thimble.export.clicks.rows import Clicks, Parts
from thimble.export.training.ancestry import Parent, parent
from thimble.export.training.checkpoint import Checkpoint, load_trained
from thimble.export.training.errors import RunError
from thimble.export.training.evaluation import score
from thimble.export.training.recipe import Recipe
from thimble.export.training.train import train
from thimble.models.spec import Metrics

CLICKS = rare_clicks(12_000)
TRAINING, VALIDATION, HELD_OUT = slice(1500), slice(1500, 6000), slice(6000, None)
# so many passes over so few rows that scores are far too sure of themselves
RECIPE = Recipe(batch_size=50, epochs=12, dense_lr=0.01)


def fit(
    folder: Path,
    recipe: Recipe,
    validation: ClicksInMemory | None = None,
    held_out: ClicksInMemory | None = None,
    before: Parent | None = None,
) -> Metrics:
    training = ClicksInMemory(part(CLICKS, TRAINING))
    validation = validation or ClicksInMemory(part(CLICKS, VALIDATION))
    held_out = held_out or ClicksInMemory(part(CLICKS, HELD_OUT))
    return train(RARE_SPEC, Parts(training.rows(), held_out.rows(), validation.rows()), recipe, folder, parent=before)


def test_scores_fit_rows_that_were_not_trained_on(tmp_path: Path) -> None:
    raw = fit(tmp_path / "raw", RECIPE)
    scaled = fit(tmp_path / "scaled", RECIPE.model_copy(update={"platt": True}))
    assert scaled.log_loss < raw.log_loss
    assert scaled.auc == pytest.approx(raw.auc, abs=1e-4)
    trained = load_trained(tmp_path / "scaled")
    assert trained.spec.provenance is not None and trained.spec.provenance.platt is not None
    assert trained.spec.provenance.platt.rows == VALIDATION.stop - VALIDATION.start
    session = onnx_session(str(export(trained, tmp_path).path))
    for rows, nearness in ((VALIDATION, 1e-3), (HELD_OUT, 0.1)):
        some = part(CLICKS, rows)
        assert onnx_scores(session, some.batch).mean() == pytest.approx(some.labels.mean(), rel=nearness)


def test_with_sampled_negatives_it_is_the_full_log_that_scores_fit(tmp_path: Path) -> None:
    kept, all_rows = 0.2, part(CLICKS, VALIDATION)
    recipe = RECIPE.model_copy(update={"platt": True, "negatives_kept": kept})
    fit(tmp_path, recipe, validation=ClicksInMemory(sampled(all_rows, kept)))
    scores = score(load_trained(tmp_path).dlrm, all_rows.batch)
    assert scores.mean() == pytest.approx(all_rows.labels.mean(), rel=0.12)  # as far as so few negatives tell


class Interrupted(ClicksInMemory):
    """Ctrl-C once rows have been read to the end so many times."""

    def __init__(self, clicks: Clicks, times: int) -> None:
        super().__init__(clicks)
        self.left = times

    def read(self, start: int, stop: int, size: int) -> Iterator[Clicks]:
        yield from super().read(start, stop, size)
        self.left -= 1
        if not self.left:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(("validation", "held_out"), [(1, 0), (3, 0), (0, 2)])
def test_a_run_that_was_stopped_is_scaled_once(tmp_path: Path, validation: int, held_out: int) -> None:
    """Before training, while the scaling is found, and when it has been, but the metrics have not."""
    recipe = RECIPE.model_copy(update={"platt": True, "epochs": 1})
    whole = fit(tmp_path / "whole", recipe)
    rows = Interrupted(part(CLICKS, VALIDATION), validation), Interrupted(part(CLICKS, HELD_OUT), held_out)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "stopped", recipe, *rows)
    assert fit(tmp_path / "stopped", recipe) == whole
    first, second = (Checkpoint(tmp_path / name).load()[2]["model"] for name in ("whole", "stopped"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_without_validation_rows_nothing_is_trained(tmp_path: Path) -> None:
    rows = ClicksInMemory(part(CLICKS, TRAINING))
    with pytest.raises(RunError, match="--platt needs validation rows to fit the scores to"):
        train(RARE_SPEC, Parts(rows.rows(), rows.rows()), Recipe(platt=True), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_that_goes_on_begins_without_the_scaling(tmp_path: Path) -> None:
    """With rates of 0 all but the last bias is what it was before the scaling, and the scaling is that once more."""
    scaled, still = RECIPE.model_copy(update={"platt": True, "epochs": 1}), {"dense_lr": 0.0, "sparse_lr": 0.0}
    fit(tmp_path / "raw", scaled.model_copy(update={"platt": False}))
    fit(tmp_path / "scaled", scaled)
    before = parent(tmp_path / "scaled")
    assert before.platt and abs(before.platt.slope - 1) > 0.01
    fit(tmp_path / "on", scaled.model_copy(update=still | {"platt": False}), before=before)
    raw, on = (Checkpoint(tmp_path / name).load()[2]["model"]["over_arch.2.weight"] for name in ("raw", "on"))
    torch.testing.assert_close(on, raw)
    fit(tmp_path / "again", scaled.model_copy(update=still), before=parent(tmp_path / "scaled"))
    again = Checkpoint(tmp_path / "again").load()[1].platt
    assert again and again.slope == pytest.approx(before.platt.slope, rel=1e-3)


def test_a_recipe_that_was_taken_over_asks_in_vain_for_validation_rows(tmp_path: Path) -> None:
    fit(tmp_path / "scaled", RECIPE.model_copy(update={"platt": True, "epochs": 1}))
    before, rows = parent(tmp_path / "scaled"), ClicksInMemory(part(CLICKS, TRAINING))
    train(RARE_SPEC, Parts(rows.rows(), rows.rows()), before.recipe, tmp_path / "on", parent=before)
    _, progress, _ = Checkpoint(tmp_path / "on").load()
    assert progress.platt is None and progress.advice[:1] == ["no Platt scaling: no validation rows"]


def test_rows_that_tell_no_scaling_leave_the_model_as_it_was(tmp_path: Path) -> None:
    validation = part(CLICKS, VALIDATION)
    none_clicked = ClicksInMemory(validation._replace(labels=validation.labels * 0))
    fit(tmp_path / "raw", RECIPE, validation=none_clicked)
    fit(tmp_path / "scaled", RECIPE.model_copy(update={"platt": True}), validation=none_clicked)
    (_, _, raw), (_, progress, scaled) = (Checkpoint(tmp_path / name).load() for name in ("raw", "scaled"))
    assert all(torch.equal(raw["model"][name], scaled["model"][name]) for name in raw["model"])
    assert progress.platt is None
    assert progress.advice[:1] == ["no Platt scaling: the validation rows are all of one class"]
