"""Several processes, as torchrun starts them, train the model that one would train."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import torch

from testing.conditions import until
from testing.samples import write_csv
from tests.export.conftest import Run
from tests.export.training.together import SPECS, fit
from thimble.export.training.checkpoint import Checkpoint, Progress
from thimble.export.training.ranks import Ranks

START_SECONDS = 120  # torch is imported three times
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]


def weights(run: Path) -> dict[str, torch.Tensor]:
    _, _, state = Checkpoint(run).load()
    model: dict[str, torch.Tensor] = state["model"]
    return model


def assert_close(first: Path, second: Path) -> None:
    """Weights that differ by the order of sums alone."""
    for name, tensor in weights(second).items():
        torch.testing.assert_close(weights(first)[name], tensor, rtol=1e-3, atol=1e-4, msg=f"{first} {name}")


def progress(run: Path) -> Progress:
    return Checkpoint(run).load()[1]


def trained(run: Path) -> int:
    """Rows that were trained on when it was last saved."""
    return progress(run).rows_trained if (run / "checkpoint.pt").exists() else 0


def arguments(csv: Path, run: Path) -> list[str]:
    columns = ["--label", "clicked", "--dense", "age,price", "--string", "city,shop", "--memory", "4000"]
    sizes = ["--batch-size", "64", "--epochs", "20", "--checkpoint-rows", "128"]
    return ["train", str(csv), *columns, *sizes, "--dense-lr", "1e-4", "--sparse-lr", "1e-4", "--run", str(run)]


@contextmanager
def together(csv: Path, run: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """torchrun, which ends in the block; what is left of it after a failure is killed."""
    code = "from thimble.export.cli import main; main()"
    command = [*TORCHRUN, "--no-python", "--", sys.executable, "-c", code, *arguments(csv, run), "--tensorboard"]
    with log.open("w") as file, subprocess.Popen(command, stdout=file, stderr=file, cwd=run.parent) as agent:
        try:
            yield agent
        finally:
            if agent.poll() is None:
                for process in processes(agent):
                    process.kill()
                agent.kill()


def processes(agent: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Those that it started, the first one first."""
    return sorted(psutil.Process(agent.pid).children(), key=lambda process: process.create_time())


def test_two_processes_train_the_model_of_one(tmp_path: Path) -> None:
    command = [*TORCHRUN, "-m", "tests.export.training.together", str(tmp_path / "two")]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    metrics = fit(tmp_path / "one")
    for name in SPECS:
        one, two = progress(tmp_path / "one" / name), progress(tmp_path / "two" / name)
        assert_close(tmp_path / "two" / name, tmp_path / "one" / name)
        assert two.metrics is not None
        assert two.metrics.log_loss == pytest.approx(metrics[name].log_loss, rel=1e-3)
        assert [point.rows for point in two.history] == [point.rows for point in one.history]
        assert [point.loss for point in two.history] == pytest.approx([point.loss for point in one.history], rel=1e-3)


def dies(agent: subprocess.Popen[bytes]) -> None:
    processes(agent)[-1].kill()


def is_told_to_stop(agent: subprocess.Popen[bytes]) -> None:
    agent.terminate()


@pytest.mark.parametrize(
    ("ends", "sentence"),
    [
        (dies, "another process of this run has ended or cannot be reached"),
        pytest.param(is_told_to_stop, "stopped; the same command goes on from here", marks=pytest.mark.proof),
    ],
)
def test_what_ended_with_two_processes_goes_on_with_one(
    tmp_path: Path, run: Run, ends: Callable[[subprocess.Popen[bytes]], None], sentence: str
) -> None:
    csv = write_csv(tmp_path / "clicks.csv", 1000)
    folder, log = tmp_path / "two", tmp_path / "log"
    with together(csv, folder, log) as agent:
        until(lambda: agent.poll() is not None or trained(folder), START_SECONDS)
        assert agent.poll() is None, log.read_text()
        ends(agent)
        assert agent.wait(START_SECONDS)
    said = log.read_text()
    assert said.count(f"thimble-export: {sentence}") == 1, said
    assert progress(folder).metrics is None
    assert len([*(folder / "tensorboard").iterdir()]) == 1  # a second file would have readers forget the first
    for name in ("two", "one"):
        assert run(*arguments(csv, tmp_path / name)).status == 0
    assert_close(folder, tmp_path / "one")


@pytest.mark.parametrize("killed", ["sender", "receiver"])
def test_one_that_dies_in_the_middle_of_a_message_is_noticed(killed: str) -> None:
    """gloo does not tell those that are at it."""
    command = [*TORCHRUN, "-m", "tests.export.training.cut_off", killed]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.stdout.startswith("another process of this run has ended or cannot be reached"), ended.stderr


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 64, 1001])
def test_shares_are_all_of_a_batch(rows: int) -> None:
    for count in (1, 2, 3, 8):
        shares = [range(rows)[Ranks(rank, count).share(rows)] for rank in range(count)]
        assert [row for share in shares for row in share] == [*range(rows)]
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
