"""A step's precision, and when it is noticed that the loss is no number."""

import math
import re
from pathlib import Path

import pytest
import torch
from torch.amp import GradScaler

from testing.samples import criteo_spec
from thimble.export.clicks.generate import GeneratedClicks
from thimble.export.clicks.rows import Parts, Rows
from thimble.export.training.checkpoint import Checkpoint
from thimble.export.training.errors import RunError
from thimble.export.training.recipe import Recipe, TrainingPrecision
from thimble.export.training.start import started
from thimble.export.training.step import CHECK_STEPS, Step
from thimble.export.training.train import train
from thimble.models.spec import Metrics

SPEC = criteo_spec()
CPU = torch.device("cpu")


def fit(folder: Path, precision: TrainingPrecision, epochs: int = 1) -> Metrics:
    source = GeneratedClicks(SPEC, 4000, 0)
    recipe = Recipe(batch_size=128, epochs=epochs, dense_lr=3e-3, sparse_lr=3e-3, training_precision=precision)
    return train(SPEC, Parts(Rows(source, 0, 3000), Rows(source, 3000, 4000)), recipe, folder)


def test_bf16_trains_float32_weights_about_as_well(tmp_path: Path) -> None:
    half, whole = fit(tmp_path / "bf16", "bf16", 2), fit(tmp_path / "fp32", "fp32", 2)
    assert half != whole
    assert half.log_loss == pytest.approx(whole.log_loss, abs=0.01)
    _, _, state = Checkpoint(tmp_path / "bf16").load()
    assert {tensor.dtype for tensor in state["model"].values()} == {torch.float32, torch.int64}


def test_fp16_needs_a_gpu(tmp_path: Path) -> None:
    with pytest.raises(
        RunError, match=re.escape("--training-precision fp16 is for GPUs; without one take bf16 or fp32")
    ):
        fit(tmp_path, "fp16")
    assert not (tmp_path / "checkpoint.pt").exists()


def test_a_run_of_whole_numbers_goes_on_in_halves_and_the_other_way_round() -> None:
    """Only fp16 has a scale of the loss, for which GPUs are needed, but not to keep one."""
    whole, half = (Step(started(SPEC, 0, CPU), Recipe()) for _ in range(2))
    half.scaler = GradScaler("cpu", init_scale=64, enabled=True)
    half.go_on_from(whole.state_dict())
    assert half.scaler.get_scale() == 64
    whole.go_on_from(half.state_dict())
    another = Step(started(SPEC, 0, CPU), Recipe())
    another.scaler = GradScaler("cpu", enabled=True)
    another.go_on_from(half.state_dict())
    assert another.scaler.get_scale() == 64


def test_why_nothing_can_be_gone_on_from_is_kept() -> None:
    step = Step(started(SPEC, 0, CPU), Recipe())
    with pytest.raises(RunError, match="trained by another version") as raised:
        step.go_on_from(step.state_dict() | {"model": {}})
    assert "Missing key" in str(raised.value.__cause__)


def test_another_precision_is_another_run(tmp_path: Path) -> None:
    fit(tmp_path, "fp32")
    with pytest.raises(RunError, match=re.escape("holds another run (training_precision differ)")):
        fit(tmp_path, "bf16")


def test_a_loss_that_is_no_number_is_noticed_before_it_is_saved_or_soon() -> None:
    model = started(SPEC, 0, CPU)
    step = Step(model, Recipe())
    clicks = next(GeneratedClicks(SPEC, 64, 0).read(0, 64, 64))
    step(clicks)
    assert math.isfinite(step.take_loss())
    with torch.no_grad():
        model.over_arch[0].bias.fill_(math.nan)  # type: ignore[index,union-attr]
    step(clicks)
    with pytest.raises(RunError, match="training diverged, the loss is nan"):
        step.state_dict()
    for _ in range(CHECK_STEPS - 1):
        step(clicks)
    with pytest.raises(RunError, match="training diverged, the loss is nan"):
        step(clicks)


def test_the_loss_is_that_of_all_rows_since_it_was_taken() -> None:
    step = Step(started(SPEC, 0, CPU), Recipe(dense_lr=0, sparse_lr=0))
    batches = list(GeneratedClicks(SPEC, 100, 0).read(0, 100, 64))
    for clicks in batches:
        step(clicks)
    both = step.take_loss()
    taken = []
    for clicks in batches:
        step(clicks)
        taken.append(step.take_loss())
    assert both == pytest.approx(sum(taken))
    assert step.take_loss() == 0
