"""A run is about the very clicks that it was given, and its export as well."""

import os
from pathlib import Path

import pytest

from testing.samples import write_csv
from thimble.export.artifact.pipeline import export
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.rows import ClickError, split
from thimble.export.training.checkpoint import load_trained
from thimble.export.training.errors import RunError
from thimble.export.training.recipe import Recipe
from thimble.export.training.schema import OwnModel
from thimble.export.training.train import train
from thimble.models.spec import Metrics, ModelSpec, Precision

SPEC = OwnModel(name="shop", dense=["age"], fields={"string": ["city", "shop"]}, memory=2000, embedding_dim=8).spec()


@pytest.fixture
def clicks(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "impressions.csv", 600)


def fit(paths: list[Path], run: Path, label: str = "clicked", spec: ModelSpec = SPEC) -> Metrics:
    return train(spec, split(FileClicks(paths, spec, label)), Recipe(batch_size=128), run)


def test_a_finished_run_does_not_answer_for_another_label(clicks: Path, tmp_path: Path) -> None:
    lines = clicks.read_text().splitlines()
    flipped = {"0": "1", "1": "0", "clicked": "bought"}
    clicks.write_text("".join(f"{line},{flipped[line.split(',')[0]]}\n" for line in lines))
    fit([clicks], tmp_path / "run")
    with pytest.raises(RunError, match="holds another run"):
        fit([clicks], tmp_path / "run", "bought")


def test_a_finished_run_does_not_answer_for_changed_or_other_files(clicks: Path, tmp_path: Path) -> None:
    fit([clicks], tmp_path / "run")
    (tmp_path / "other").mkdir()
    other = write_csv(tmp_path / "other" / clicks.name, 600)
    with pytest.raises(RunError, match="clicks"):
        fit([other], tmp_path / "run")
    os.utime(clicks, ns=(1, 1))
    with pytest.raises(RunError, match="clicks"):
        fit([clicks], tmp_path / "run")


def test_changed_files_are_not_calibrated_on(clicks: Path, tmp_path: Path) -> None:
    fit([clicks], tmp_path / "run")
    write_csv(clicks, 600, seed=1)
    with pytest.raises(ClickError, match=r"impressions.csv has changed since the run"):
        export(load_trained(tmp_path / "run"), tmp_path / "artifacts", precision=Precision(memory="int4", mlps="int8"))


def test_no_usable_row_to_train_on_is_an_error(clicks: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("clicked,age,city,shop\n" + "maybe,1,a,b\n" * 100)
    parts = split(FileClicks([bad], SPEC, "clicked"), FileClicks([clicks], SPEC, "clicked"))
    with pytest.raises(ClickError, match=r"bad.csv: no usable row to train on"):
        train(SPEC, parts, Recipe(), tmp_path / "run")


def test_what_is_trained_on_is_not_held_out(clicks: Path) -> None:
    with pytest.raises(ClickError, match="both trained on and held out"):
        split(FileClicks([clicks], SPEC, "clicked"), FileClicks([clicks], SPEC, "clicked"))


def test_the_label_is_no_feature(clicks: Path) -> None:
    with pytest.raises(ClickError, match="'age' is also a feature"):
        FileClicks([clicks], SPEC, "age")


def test_columns_of_one_name_are_refused(clicks: Path) -> None:
    clicks.write_text(clicks.read_text().replace("clicked,age,price", "clicked,age,age"))
    with pytest.raises(ClickError, match="2 columns are called 'age'"):
        FileClicks([clicks], SPEC, "clicked").count()
