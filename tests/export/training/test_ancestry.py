"""A run that goes on from another one is that one, trained further."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from testing.clicks import RARE_SPEC, ClicksInMemory, part, rare_clicks
from thimble.export.clicks.rows import Clicks, Parts
from thimble.export.commands.going_on import next_folder
from thimble.export.training.ancestry import Parent, parent
from thimble.export.training.checkpoint import Checkpoint, load_trained
from thimble.export.training.errors import RunError
from thimble.export.training.recipe import Recipe
from thimble.export.training.train import train
from thimble.models.spec import Metrics

DAY, HELD_OUT = 300, 100
RECIPE = Recipe(batch_size=100)
CLICKS = rare_clicks(12 * DAY)
HELD_OUT_ROWS = ClicksInMemory(part(CLICKS, slice(-HELD_OUT, None)), "held out")


def day(number: int) -> ClicksInMemory:
    return ClicksInMemory(part(CLICKS, slice(DAY * (number - 1), DAY * number)), f"day {number}")


def fit(source: ClicksInMemory, folder: Path, before: Parent | None = None, recipe: Recipe = RECIPE) -> Metrics:
    return train(RARE_SPEC, Parts(source.rows(), HELD_OUT_ROWS.rows()), recipe, folder, parent=before)


def state(folder: Path) -> dict[str, Any]:
    _, _, state = Checkpoint(folder).load()
    return state


def tensors(value: Any) -> Iterator[torch.Tensor]:
    """All that are in a state, however deep."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from tensors(inner)


def same(first: Path, second: Path) -> bool:
    pairs = zip(tensors(state(first)), tensors(state(second)), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_going_on_with_the_same_rows_is_a_second_epoch(tmp_path: Path) -> None:
    """Weights and what the optimizers remember: neither is lost, nor is anything else begun anew."""
    fit(day(1), tmp_path / "once")
    before = (tmp_path / "once" / "checkpoint.pt").read_bytes()
    fit(day(1), tmp_path / "again", parent(tmp_path / "once"))
    fit(day(1), tmp_path / "twice", recipe=RECIPE.model_copy(update={"epochs": 2}))
    assert same(tmp_path / "again", tmp_path / "twice")
    assert not same(tmp_path / "again", tmp_path / "once")
    assert (tmp_path / "once" / "checkpoint.pt").read_bytes() == before


def test_a_chain_of_ten_days(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    fit(day(1), folder)
    sizes = [(folder / "checkpoint.pt").stat().st_size]
    for number in range(2, 11):
        before = parent(folder)
        folder = next_folder(before)
        assert folder == tmp_path / f"shop-{number}"
        fit(day(number), folder, before)
        sizes.append((folder / "checkpoint.pt").stat().st_size)
    assert max(sizes) < min(sizes) + 10_000
    last = load_trained(folder).spec.provenance
    assert last is not None
    before_it = [(ancestor.source, ancestor.rows_trained) for ancestor in last.ancestors]
    assert before_it == [(f"day {number}", DAY) for number in range(1, 10)]
    assert (last.source, last.rows_trained) == ("day 10", DAY)


def test_folders_that_end_in_numbers_of_their_own(tmp_path: Path) -> None:
    fit(day(1), tmp_path / "2026-06-01")
    first = parent(tmp_path / "2026-06-01")
    assert next_folder(first).name == "2026-06-01-2"
    fit(day(2), tmp_path / "2026-06-02", first)
    assert next_folder(parent(tmp_path / "2026-06-02")).name == "2026-06-02-3"


class Interrupted(ClicksInMemory):
    """Ctrl-C as the second batch is read."""

    def read(self, start: int, stop: int, size: int) -> Iterator[Clicks]:
        for number, clicks in enumerate(super().read(start, stop, size), 1):
            if number == 2:
                signal.raise_signal(signal.SIGINT)
            yield clicks


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not(tmp_path: Path) -> None:
    fit(day(1), tmp_path / "1")
    with pytest.raises(KeyboardInterrupt):
        fit(Interrupted(day(2).clicks, "day 2"), tmp_path / "stopped", parent(tmp_path / "1"))
    resumed = fit(day(2), tmp_path / "stopped", parent(tmp_path / "1"))
    assert resumed == fit(day(2), tmp_path / "whole", parent(tmp_path / "1"))
    assert same(tmp_path / "stopped", tmp_path / "whole")


def test_another_parent_is_another_run(tmp_path: Path) -> None:
    fit(day(1), tmp_path / "1")
    fit(day(3), tmp_path / "3")
    fit(day(2), tmp_path / "2", parent(tmp_path / "1"))
    for other in (None, parent(tmp_path / "3")):
        with pytest.raises(RunError, match=r"2 holds another run \(ancestors, parent differ\); choose another --run"):
            fit(day(2), tmp_path / "2", other)


def test_a_run_is_not_overwritten_by_the_one_that_goes_on(tmp_path: Path) -> None:
    fit(day(1), tmp_path / "1")
    with pytest.raises(RunError, match=r"1 is the run to go on from, which stays as it is; choose another --run"):
        fit(day(2), tmp_path / "2" / ".." / "1", parent(tmp_path / "1"))


def test_learning_rates_are_the_new_runs_own(tmp_path: Path) -> None:
    """Without any only the last bias changes, which is fitted to the new rows."""
    fit(day(1), tmp_path / "1")
    slow = RECIPE.model_copy(update={"dense_lr": 0.0, "sparse_lr": 0.0})
    fit(day(2), tmp_path / "2", parent(tmp_path / "1"), slow)
    first, second = state(tmp_path / "1")["model"], state(tmp_path / "2")["model"]
    assert all(torch.equal(first[name], second[name]) for name in first if name != "over_arch.2.bias")


def test_runs_that_nothing_can_go_on_from(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"1: no training run here"):
        parent(tmp_path / "1")
    with pytest.raises(KeyboardInterrupt):
        fit(Interrupted(day(1).clicks), tmp_path / "1")
    with pytest.raises(RunError, match=r"1: training is not finished; the same train command resumes it"):
        parent(tmp_path / "1")
    path = tmp_path / "1" / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(RunError, match=r"checkpoint.pt: damaged or not a checkpoint"):
        parent(tmp_path / "1")


def test_a_run_of_another_version(tmp_path: Path) -> None:
    """As of one that knew no recipe."""
    fit(day(1), tmp_path)
    path = tmp_path / "checkpoint.pt"
    document = torch.load(path, weights_only=True)
    config = json.loads(document["config"])
    torch.save({**document, "config": json.dumps({"batch_size": 100, **config, "recipe": None})}, path)
    with pytest.raises(
        RunError, match=r"checkpoint.pt: written by another version of this program \(recipe: .+\); train anew$"
    ):
        parent(tmp_path)
