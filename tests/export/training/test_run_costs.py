"""What a run reads, what it sends to other processes, and what it leaves behind."""

import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest
import torch

from testing.samples import small_spec, write_csv
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.rows import Clicks, Parts, Rows
from thimble.export.training import intercept
from thimble.export.training import run as running
from thimble.export.training import train as training
from thimble.export.training.checkpoint import Checkpoint
from thimble.export.training.ranks import ALONE, Ranks
from thimble.export.training.recipe import Recipe
from thimble.models.inputs import Categorical
from thimble.models.spec import Metrics, ModelSpec

T = TypeVar("T")
SHAPE = small_spec(dense=2, kinds=("string", "string"))
SPEC = ModelSpec.model_validate(
    SHAPE.model_dump()
    | {
        "dense": ["age", "price"],
        "fields": [Categorical(name=name, kind="string", rows=50) for name in ("city", "shop")],
    }
)
TRAINED, VALIDATED, HELD_OUT, BATCH = 1000, 100, 900, 64


@dataclass(frozen=True)
class Counted(Rows):
    """Rows that count how many of them are read, and whose reader is stopped at a place in the last epoch."""

    read_rows: list[int] = field(default_factory=list)
    stop_at: int | None = None

    def read(self, size: int, skip: int = 0, epoch: int = 0) -> Iterator[Clicks]:
        position = skip
        for clicks in super().read(size, skip, epoch):
            if position == self.stop_at and epoch == 1:
                raise KeyboardInterrupt
            position += size
            self.read_rows.append(len(clicks.labels))
            yield clicks

    def first(self, rows: int) -> "Counted":
        return Counted(self.source, self.start, min(self.stop, self.start + rows), self.read_rows)


@dataclass(frozen=True)
class Sent(Ranks):
    """One process that notes how many bytes it would send to others."""

    sizes: list[int] = field(default_factory=list)

    def from_first(self, result: Callable[[], T]) -> T:
        made = result()
        self.sizes.append(len(pickle.dumps(made)))
        return made


@pytest.fixture
def source(tmp_path: Path) -> FileClicks:
    csv = write_csv(tmp_path / "clicks.csv", TRAINED + VALIDATED + HELD_OUT)
    lines = csv.read_text().splitlines()
    lines[950:953] = ["x,1,1,a,b"] * 3  # bad rows among the last
    csv.write_text("\n".join(lines) + "\n")
    return FileClicks([csv], SPEC, "clicked")


def parts(source: FileClicks, stop_at: int | None = None) -> Parts:
    behind = TRAINED + VALIDATED
    return Parts(
        Counted(source, 0, TRAINED, stop_at=stop_at),
        Counted(source, behind, behind + HELD_OUT),
        Counted(source, TRAINED, behind),
    )


def fit(parts: Parts, folder: Path, epochs: int = 2, ranks: Ranks = ALONE) -> Metrics:
    return training.train(SPEC, parts, Recipe(batch_size=BATCH, epochs=epochs), folder, 128, ranks=ranks)


def test_an_epoch_reads_rows_once(source: FileClicks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "POINT_ROWS", 250)
    read = []
    for epochs in (1, 2):
        these = parts(source)
        fit(these, tmp_path / str(epochs), epochs)
        read.append([sum(part.read_rows) for part in these if isinstance(part, Counted)])
    assert len(Checkpoint(tmp_path / "2").load()[1].history) == 10  # at each point the model is judged
    once, twice = read
    assert [b - a for a, b in zip(once, twice, strict=True)] == [TRAINED - 3, 0, VALIDATED]


@pytest.mark.parametrize("stop_at", [640, 960])
def test_a_run_that_was_stopped_among_the_last_rows_goes_on_as_if_it_had_not(
    source: FileClicks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_at: int
) -> None:
    monkeypatch.setattr(intercept, "INTERCEPT_ROWS", 350)
    with pytest.raises(KeyboardInterrupt):
        fit(parts(source, stop_at), tmp_path / "stopped")
    position = Checkpoint(tmp_path / "stopped").load()[1].position
    assert stop_at - 128 < position <= stop_at
    assert fit(parts(source), tmp_path / "stopped") == fit(parts(source), tmp_path / "whole")
    stopped, whole = (Checkpoint(tmp_path / name).load()[2]["model"] for name in ("stopped", "whole"))
    assert all(torch.equal(stopped[name], whole[name]) for name in whole)


def test_processes_send_each_other_neither_weights_nor_scores(source: FileClicks, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(parts(source, 640), tmp_path / "run")
    sent = Sent()
    fit(parts(source), tmp_path / "run", ranks=sent)
    curves = Checkpoint(tmp_path / "run").load()[1].curves
    assert max(sent.sizes) < len(pickle.dumps(curves)) + 2000
    assert max(sent.sizes) < HELD_OUT * 12 < (tmp_path / "run" / "checkpoint.pt").stat().st_size


def test_the_best_epochs_weights_are_removed_even_if_a_run_was_killed_before_it_did(
    source: FileClicks, tmp_path: Path
) -> None:
    metrics = fit(parts(source), tmp_path / "run")
    best = tmp_path / "run" / "best.pt"
    assert not best.exists()
    best.touch()
    assert fit(parts(source), tmp_path / "run") == metrics
    assert not best.exists()
