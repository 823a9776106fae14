"""A run loses no work: what cannot be saved ends it at its start, and what fails later leaves the last checkpoint."""

import os
import re
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from testing.disk import files_no_larger_than
from testing.samples import small_spec
from thimble.export.artifact.pipeline import calibration_rows, held_out_rows
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.rows import ClickError, Clicks, Parts, Rows
from thimble.export.training.checkpoint import Checkpoint, load_trained
from thimble.export.training.errors import RunError
from thimble.export.training.recipe import Recipe
from thimble.export.training.train import train
from thimble.models.spec import Metrics

SPEC = small_spec(dense=2, kinds=("string", "string"))
RECIPE = Recipe(batch_size=50)
TRAIN_ROWS, HELD_OUT_ROWS = 500, 100


class Watched(FileClicks):
    """Clicks that call `do` with the number of each batch that is trained on, and with 0 when all is evaluated."""

    def __init__(self, path: Path, do: Callable[[int], object] = lambda _: None) -> None:
        super().__init__([path], SPEC)
        self.do = do
        self.trained_on = 0

    def read(self, start: int, stop: int, size: int) -> Iterator[Clicks]:
        for clicks in super().read(start, stop, size):
            if start < TRAIN_ROWS and size == RECIPE.batch_size:
                self.trained_on += 1
                self.do(self.trained_on)
            elif self.trained_on and start >= TRAIN_ROWS:
                self.do(0)
            yield clicks


@pytest.fixture
def clicks(tmp_path: Path) -> Path:
    path = tmp_path / "clicks"
    path.write_text("".join(f"{i % 2}\t{i}\t{i % 7}\ta{i % 5}\tb{i % 3}\n" for i in range(TRAIN_ROWS + HELD_OUT_ROWS)))
    return path


def fit(source: FileClicks, folder: Path) -> Metrics:
    parts = Parts(Rows(source, 0, TRAIN_ROWS), Rows(source, TRAIN_ROWS, TRAIN_ROWS + HELD_OUT_ROWS))
    return train(SPEC, parts, RECIPE, folder, checkpoint_rows=100)


def weights(folder: Path) -> dict[str, Any]:
    _, _, state = Checkpoint(folder).load()
    return {name: tensor.tolist() for name, tensor in state["model"].items()}


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        ("clicks", "clicks/checkpoint.pt: the checkpoint cannot be written: File exists"),
        ("clicks/run", "clicks/run/checkpoint.pt: the checkpoint cannot be written: Not a directory"),
        ("blocked", "blocked/checkpoint.pt: the checkpoint cannot be written: Is a directory"),
        ("run\udce9", "run\udce9: PyTorch cannot read from a folder whose name is not UTF-8; choose another --run"),
    ],
)
def test_a_folder_that_cannot_be_saved_to_ends_a_run_before_its_first_step(
    clicks: Path, tmp_path: Path, run: str, reason: str
) -> None:
    (tmp_path / "blocked" / "checkpoint.partial").mkdir(parents=True)
    source = Watched(clicks)
    with pytest.raises(RunError, match=re.escape(reason)):
        fit(source, tmp_path / run)
    assert not source.trained_on


def test_a_full_disk_ends_a_run_before_its_first_step(clicks: Path, tmp_path: Path) -> None:
    source = Watched(clicks)
    with files_no_larger_than(1000), pytest.raises(RunError, match=r"run/checkpoint.pt: .* File too large$"):
        fit(source, tmp_path / "run")
    assert not source.trained_on
    assert not list((tmp_path / "run").iterdir())


def test_held_out_rows_that_cannot_be_evaluated_on_end_a_run_before_its_first_step(
    clicks: Path, tmp_path: Path
) -> None:
    lines = clicks.read_text().splitlines()
    clicks.write_text("\n".join([*lines[:TRAIN_ROWS], *["nonsense"] * HELD_OUT_ROWS]))
    source = Watched(clicks)
    with pytest.raises(ClickError, match="the held-out clicks have no usable row to evaluate on"):
        fit(source, tmp_path / "run")
    assert not source.trained_on


def test_a_disk_that_fills_later_leaves_the_last_checkpoint(clicks: Path, tmp_path: Path) -> None:
    with files_no_larger_than(1 << 30):
        allowed = resource.getrlimit(resource.RLIMIT_FSIZE)[1]

        def fill(batch: int) -> None:
            if batch == 6:
                resource.setrlimit(resource.RLIMIT_FSIZE, (1000, allowed))

        with pytest.raises(RunError, match=r"File too large; the one before it is whole$"):
            fit(Watched(clicks, fill), tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["checkpoint.pt"]
    _, progress, _ = Checkpoint(tmp_path / "run").load()
    assert progress.rows_trained == 200
    assert fit(Watched(clicks), tmp_path / "run") == fit(Watched(clicks), tmp_path / "whole")
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")


def test_ctrl_c_during_the_evaluation_loses_nothing(clicks: Path, tmp_path: Path) -> None:
    def stop(batch: int) -> None:
        if not batch:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit(Watched(clicks, stop), tmp_path / "run")
    resumed = Watched(clicks)
    assert fit(resumed, tmp_path / "run") == fit(Watched(clicks), tmp_path / "whole")
    assert not resumed.trained_on
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")


class Stop:
    """Ctrl-C as it is saved."""

    def __reduce__(self) -> str:
        signal.raise_signal(signal.SIGINT)
        return ""


def test_ctrl_c_while_saving_leaves_the_old_checkpoint(clicks: Path, tmp_path: Path) -> None:
    fit(Watched(clicks), tmp_path)
    config, progress, state = Checkpoint(tmp_path).load()
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        Checkpoint(tmp_path).save(config, progress, {**state, "more": Stop()})
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert not (tmp_path / "checkpoint.partial").exists()


def test_names_that_are_not_utf_8(clicks: Path, tmp_path: Path) -> None:
    folder = tmp_path / "Gr\udcf6\udcdfe"
    folder.mkdir()
    clicks = clicks.rename(folder / "caf\udce9 \U0001f600")
    metrics = fit(FileClicks([clicks], SPEC), tmp_path / "run")
    assert fit(FileClicks([clicks], SPEC), tmp_path / "run") == metrics
    trained = load_trained(tmp_path / "run")
    assert trained.spec.provenance is not None
    assert trained.spec.provenance.source == "caf\\udce9 \U0001f600"
    assert trained.spec.model_dump_json()
    assert sum(batch.rows for batch in calibration_rows(trained)) == TRAIN_ROWS
    assert len(held_out_rows(trained)) == HELD_OUT_ROWS
    other = clicks.rename(folder / "caf\udcea \U0001f600")
    with pytest.raises(RunError, match=r"holds another run \(source, clicks, held_out_clicks differ\)"):
        fit(FileClicks([other], SPEC), tmp_path / "run")


def test_what_is_read_but_once_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for path in (tmp_path / "pipe.csv", tmp_path / "socket", Path("/dev/null"), Path("/dev/zero")):
            with pytest.raises(
                ClickError, match=r": a pipe, a socket or a device, which is read but once; write it to"
            ):
                FileClicks([path], SPEC)
