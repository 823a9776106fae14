"""A run that was stopped goes on in the order in which it would have, wherever its rows come from."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from testing.samples import small_spec, write_csv
from thimble.export.artifact.pipeline import calibration_rows, export, held_out_rows
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.parts import Plan, parse_split, prepared
from thimble.export.clicks.rows import ClickError, Clicks, Parts, Rows
from thimble.export.training.checkpoint import Checkpoint, load_trained
from thimble.export.training.errors import RunError
from thimble.export.training.intercept import fit_intercept
from thimble.export.training.recipe import Recipe
from thimble.export.training.train import train
from thimble.models.architectures.dlrm import DlrmArchitecture
from thimble.models.inputs import Categorical
from thimble.models.nn.recommender import Recommender
from thimble.models.spec import Metrics, ModelSpec, Precision

SHAPE = small_spec(dense=2, kinds=("string", "string"))
SPEC = ModelSpec.model_validate(
    {
        **SHAPE.model_dump(),
        "dense": ["age", "price"],
        "fields": [Categorical(name=name, kind="string", rows=50) for name in ("city", "shop")],
        # wide enough for int8, which a few units take badly
        "architecture": DlrmArchitecture(dense_arch=[64, SHAPE.embedding_dim], over_arch=[64, 1]),
    }
)
RECIPE = Recipe(batch_size=100, epochs=2)


@dataclass(frozen=True)
class Stopped(Rows):
    """Rows whose reader is stopped after so many batches of the second epoch."""

    rows: Rows
    batches: int

    @property
    def identity(self) -> str:
        return self.rows.identity

    def read(self, size: int, skip: int = 0, epoch: int = 0) -> Iterator[Clicks]:
        for batch, clicks in enumerate(self.rows.read(size, skip, epoch)):
            if epoch == 1 and batch == self.batches:
                raise KeyboardInterrupt
            yield clicks


def parts_of(path: Path, split: str, in_order: bool, cache: Path | None) -> Parts:
    plan = Plan(*parse_split(split, in_order), in_order=in_order)
    source = FileClicks([path], SPEC, "clicked", group=plan.group, time=plan.time)
    return prepared(source, None, plan, cache, lambda _: None)


def fit(parts: Parts, folder: Path) -> Metrics:
    return train(SPEC, parts, RECIPE, folder, checkpoint_rows=300)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    _, _, state = Checkpoint(folder).load()
    model: dict[str, torch.Tensor] = state["model"]
    return model


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = write_csv(tmp_path / "clicks.csv", 1500)
    lines = path.read_text().splitlines()
    lines[70:75] = ["x,1,1,a,b"] * 5
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("split", "in_order", "cache"),
    [
        ("share", False, "cache"),
        ("time:age", True, "cache"),
        ("group:shop", False, "cache"),
        ("share", False, None),
        ("group:shop", True, None),
    ],
)
def test_a_stopped_run_goes_on_in_its_order(
    tmp_path: Path, csv: Path, split: str, in_order: bool, cache: str | None
) -> None:
    folder = tmp_path / cache if cache else None
    parts = parts_of(csv, split, in_order, folder)
    rows = parts.training
    with pytest.raises(KeyboardInterrupt):
        fit(parts._replace(training=Stopped(rows.source, rows.start, rows.stop, rows, 8)), tmp_path / "stopped")
    _, progress, _ = Checkpoint(tmp_path / "stopped").load()
    assert progress.epoch == 1 and 0 < progress.position < len(rows)
    again = parts_of(csv, split, in_order, tmp_path / "another" if cache else None)
    assert fit(again, tmp_path / "stopped") == fit(parts, tmp_path / "whole")
    stopped, whole = weights(tmp_path / "stopped"), weights(tmp_path / "whole")
    assert all(torch.equal(stopped[name], whole[name]) for name in whole)


def test_bad_rows_of_a_stream_take_none_of_those_the_intercept_is_fitted_on(
    tmp_path: Path, csv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header, *rows = csv.read_text().splitlines()
    csv.write_text("\n".join([header, *(f"x{row}" if i % 2 else row for i, row in enumerate(rows)), ""]))
    fitted_on = []

    def fit_on(model: Recommender, batches: Iterator[Clicks], negatives_kept: float) -> None:
        found = list(batches)
        fitted_on.append(sum(len(clicks.labels) for clicks in found))
        fit_intercept(model, found, negatives_kept)

    monkeypatch.setattr("thimble.export.training.intercept.INTERCEPT_ROWS", 200)
    monkeypatch.setattr("thimble.export.training.run.fit_intercept", fit_on)
    fit(parts_of(csv, "share", False, None), tmp_path / "run")
    assert fitted_on == [200, 200]


def test_another_split_or_order_is_another_run(tmp_path: Path, csv: Path) -> None:
    fit(parts_of(csv, "share", False, tmp_path / "cache"), tmp_path / "run")
    for split, in_order, cache in [("share", True, "cache"), ("group:city", False, "cache"), ("share", False, None)]:
        with pytest.raises(RunError, match=r"holds another run \(.*clicks"):
            fit(parts_of(csv, split, in_order, tmp_path / cache if cache else None), tmp_path / "run")


def test_a_run_is_exported_below_float32_without_its_cache(tmp_path: Path, csv: Path) -> None:
    parts = parts_of(csv, "group:city", False, tmp_path / "cache")
    fit(parts, tmp_path / "run")
    for file in (*(tmp_path / "cache").rglob("*.arrow"), *(tmp_path / "cache").rglob("*.json")):
        file.unlink()
    trained = load_trained(tmp_path / "run")
    assert sum(batch.rows for batch in calibration_rows(trained)) == len(parts.training)
    assert sum(len(clicks.labels) for clicks in held_out_rows(trained).read(100)) == len(parts.held_out)
    exported = export(trained, tmp_path / "artifacts", precision=Precision(memory="fp16", mlps="int8"))
    assert exported.spec.precision_cost is not None and exported.spec.precision_cost.rows == len(parts.held_out)
    csv.write_text("clicked,age,price,city,shop\n")
    with pytest.raises(ClickError, match="has changed since the run"):
        held_out_rows(trained)
