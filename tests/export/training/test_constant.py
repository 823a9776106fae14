"""Where no epoch is better than a constant on the validation rows, that is what is kept."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from testing.clicks import ClicksInMemory, sampled
from testing.samples import random_batch, small_spec
from tests.export.conftest import Run
from thimble.export.clicks.rows import Clicks, Parts, Rows
from thimble.export.training.ancestry import parent
from thimble.export.training.checkpoint import Checkpoint, Progress, load_trained
from thimble.export.training.constant import as_constant
from thimble.export.training.evaluation import score
from thimble.export.training.intercept import INTERCEPT_ROWS
from thimble.export.training.recipe import Recipe
from thimble.export.training.start import started
from thimble.export.training.train import train

SPEC = small_spec(dense=2, kinds=("int", "int"), dim=8, memory=1000, rows=500)
RECIPE = Recipe(batch_size=32, epochs=6, dense_lr=0.01, sparse_lr=0.05)
ENDS = [0, 1200, 1500, 1800]


def noise(negatives_kept: float = 1, drift: bool = False, rows: int = ENDS[-1]) -> ClicksInMemory:
    """A fifth of the rows is clicked, whatever their ids, or first .05 and at last .3 of them."""
    rate = np.linspace(0.05, 0.3, rows) if drift else np.full(rows, 0.2)
    labels = (np.random.default_rng(1).random(rows) < rate).astype(np.float32)
    return ClicksInMemory(sampled(Clicks(labels, random_batch(SPEC, rows)), negatives_kept, 0))


def parts(source: ClicksInMemory) -> Parts:
    ends = np.array(ENDS) * source.count() // ENDS[-1]
    training, validation, held_out = (Rows(source, a, b) for a, b in pairwise(ends.tolist()))
    return Parts(training, held_out, validation)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    model: dict[str, torch.Tensor] = Checkpoint(folder).load()[2]["model"]
    return model


@pytest.mark.parametrize("negatives_kept", [1, 0.5])
def test_of_noise_a_constant_is_kept_and_said(tmp_path: Path, negatives_kept: float) -> None:
    rows = parts(noise(negatives_kept))
    recipe = RECIPE.model_copy(update={"negatives_kept": negatives_kept})
    metrics = train(SPEC, rows, recipe, tmp_path)
    _, progress, _ = Checkpoint(tmp_path).load()
    assert progress.start is not None and progress.best_epoch == 0
    assert progress.start.log_loss < min(epoch.log_loss for epoch in progress.validation)
    (said,) = progress.advice
    assert said.startswith("the model is a constant, the base rate for every row: its log loss on ")
    scores = score(load_trained(tmp_path).dlrm, random_batch(SPEC, 500, seed=7))
    labels = np.concatenate([clicks.labels for clicks in rows.training.read(64)])
    counted = np.where(labels > 0.5, 1, 1 / negatives_kept)
    assert scores == pytest.approx(np.average(labels, weights=counted), rel=0.01)
    assert metrics.auc == 0.5
    provenance = load_trained(tmp_path).spec.provenance
    assert provenance is not None and (provenance.epochs, provenance.rows_trained) == (0, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


class KilledError(Exception):
    pass


@pytest.mark.parametrize(
    ("batch", "drift"), [(0, False), (1, False), (38, False), (39, False), (70, False), (37, True), (70, True)]
)
def test_it_is_the_same_constant_after_a_kill(
    tmp_path: Path, batch: int, drift: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if drift:
        monkeypatch.setattr("thimble.export.training.intercept.INTERCEPT_ROWS", 500)

    class Stopping(ClicksInMemory):
        steps = 0

        def read(self, start: int, stop: int, size: int) -> Iterator[Clicks]:
            for clicks in super().read(start, stop, size):
                if size == RECIPE.batch_size:
                    if self.steps == batch:
                        raise KilledError
                    self.steps += 1
                yield clicks

    with pytest.raises(KilledError):
        train(SPEC, parts(Stopping(noise(drift=drift).clicks)), RECIPE, tmp_path / "killed", checkpoint_rows=400)
    assert (tmp_path / "killed" / "best.pt").exists()
    found = train(SPEC, parts(noise(drift=drift)), RECIPE, tmp_path / "killed")
    assert found == train(SPEC, parts(noise(drift=drift)), RECIPE, tmp_path / "whole")
    killed, whole = weights(tmp_path / "killed"), weights(tmp_path / "whole")
    assert all(torch.equal(killed[name], whole[name]) for name in whole)


def test_where_rates_change_a_constant_knows_as_much_as_an_epoch(tmp_path: Path) -> None:
    """Both end at the rate of the last rows: by the first rows' the constant would lose, and noise would be kept."""
    source = noise(drift=True, rows=100_000)
    rows = Parts(Rows(source, 0, 90_000), Rows(source, 95_000, 100_000), Rows(source, 90_000, 95_000))
    train(SPEC, rows, RECIPE.model_copy(update={"batch_size": 2048, "epochs": 1, "sparse_lr": 1.0}), tmp_path)
    progress: Progress = Checkpoint(tmp_path).load()[1]
    assert progress.start is not None and progress.best_epoch == 0
    assert progress.start.calibration == pytest.approx(progress.validation[0].calibration, rel=0.01)
    last = source.clicks.labels[90_000 - INTERCEPT_ROWS : 90_000]
    assert score(load_trained(tmp_path).dlrm, random_batch(SPEC, 9)) == pytest.approx(last.mean(), rel=1e-3)


def test_a_model_is_as_it_was_after_it_was_a_constant_even_if_that_failed() -> None:
    model = started(SPEC, 0, torch.device("cpu"))
    rows = noise().clicks
    before = score(model, rows.batch)
    for failing in (False, True):
        with suppress(KilledError), as_constant(model, -1.5):
            assert score(model, rows.batch) == pytest.approx(1 / (1 + np.exp(1.5)))
            if failing:
                raise KilledError
        assert (score(model, rows.batch) == before).all() and before.std() > 0


def test_a_constant_can_be_gone_on_from(tmp_path: Path) -> None:
    train(SPEC, parts(noise()), RECIPE, tmp_path / "first")
    learnable = noise().clicks
    labels = (learnable.batch.dense[:, 0] > 2).astype(np.float32)
    source = ClicksInMemory(learnable._replace(labels=labels))
    before = parent(tmp_path / "first")
    metrics = train(
        SPEC, parts(source), before.recipe.model_copy(update={"epochs": 1}), tmp_path / "next", parent=before
    )
    assert metrics.auc is not None and metrics.auc > 0.7
    progress: Progress = Checkpoint(tmp_path / "next").load()[1]
    assert (progress.start, progress.best_epoch) == (None, 1)


def test_a_constant_is_exported_and_inspected_like_any_model(run: Run, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows = [f"{int(random.random() < 0.2)},{random.integers(80)},{random.integers(300)}" for _ in range(900)]
    (tmp_path / "noise.csv").write_text("\n".join(["clicked,age,city", *rows, ""]))
    columns = ["--label", "clicked", "--dense", "age", "--string", "city", "--platt", "--sparse-lr", "0.1"]
    said = run("train", "noise.csv", *columns)
    assert said.status == 0, said.err
    assert "the model is a constant" in said.out and "no Platt scaling" in said.out
    page = (tmp_path / "runs" / "model" / "report.html").read_text()
    assert "A constant, after " in page and "0, the best" in page and "the model is a constant" in page
    for version, precision in enumerate(["fp32", "int8"], 1):
        exported = run("export", "runs/model", "--precision", precision)
        assert exported.status == 0, exported.err
        assert run("inspect", f"artifacts/model/{version}/model.onnx").status == 0
