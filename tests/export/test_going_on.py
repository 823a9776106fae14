"""Models that are trained further from day to day, from the command line."""

import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from testing.samples import write_csv
from tests.export.conftest import Run, Said
from tests.export.test_cli import refused
from thimble.export.scoring.evaluate import read_spec
from thimble.export.training.checkpoint import Checkpoint, load_trained

COLUMNS = ["--label", "clicked", "--dense", "age,price", "--string", "city,shop"]
SMALL = ["--memory", "2000", "--batch-size", "64", "--embedding-dim", "8", "--dense-arch", "8", "--over-arch", "8"]


@pytest.fixture
def days(tmp_path: Path) -> list[Path]:
    return [write_csv(tmp_path / f"day-{number}.csv", 400, seed=number) for number in (1, 2, 3)]


def first_day(run: Run) -> Said:
    return run("train", "day-1.csv", *COLUMNS, *SMALL, "--epochs", "2", "--name", "shop", "--missing", "city 1")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    model: dict[str, torch.Tensor] = Checkpoint(folder).load()[2]["model"]
    return model


def test_three_days(run: Run, days: list[Path], tmp_path: Path) -> None:
    assert first_day(run).status == 0
    for number in (2, 3):
        said = run("train", f"day-{number}.csv", "--from", "runs/shop" if number == 2 else "runs/shop-2")
        assert said.status == 0, said.err
        assert f"checkpoints in runs/shop-{number}\n" in said.out and "held out: AUC 0." in said.out
        config, _, _ = Checkpoint(tmp_path / "runs" / f"shop-{number}").load()
        assert (config.recipe.batch_size, config.recipe.epochs) == (64, 1)
    assert run("export", "runs/shop-3").status == 0
    artifact = tmp_path / "artifacts" / "shop" / "1" / "model.onnx"
    spec, first = read_spec(artifact), load_trained(tmp_path / "runs" / "shop").spec
    for same in ("name", "dense", "dense_transform", "fields", "embedding", "architecture"):
        assert getattr(spec, same) == getattr(first, same)
    assert spec.provenance is not None
    said = run("inspect", artifact)
    rows = [(ancestor.source, ancestor.rows_trained) for ancestor in spec.provenance.ancestors]
    assert [source for source, _ in rows] == ["day-1.csv", "day-2.csv"]
    assert f"went on from       2 runs of {rows[0][1] + rows[1][1]:,} rows: day-1.csv, day-2.csv\n" in said.out


def test_files_are_read_as_they_were_unless_somebody_says_otherwise(run: Run, days: list[Path], tmp_path: Path) -> None:
    assert first_day(run).status == 0
    assert run("train", "day-2.csv", "--from", "runs/shop", *COLUMNS).status == 0
    origins = [Checkpoint(tmp_path / "runs" / name).load()[1].trained_on for name in ("shop", "shop-2")]
    assert [origin.missing for origin in origins if origin] == [frozenset({"city 1"})] * 2
    given = ["--missing", "-", "--batch-size", "32", "--dense-lr", "0.5", "--name", "other", "--run", "runs/new"]
    assert run("train", "day-2.csv", "--from", "runs/shop", *given).status == 0
    config, progress, _ = Checkpoint(tmp_path / "runs" / "new").load()
    assert progress.trained_on is not None and progress.trained_on.missing == {"-"}
    assert (config.spec.name, config.recipe.batch_size, config.recipe.dense_lr) == ("other", 32, 0.5)


def test_seed_and_batch_are_those_of_the_run_before_unless_given(run: Run, days: list[Path], tmp_path: Path) -> None:
    """A larger batch than its own has other rates, and trains all of an array of which the smaller touched little."""
    sizes = ["--memory", "16000", "--batch-size", "16", "--embedding-dim", "8", "--dense-arch", "8", "--seed", "7"]
    first = run("train", "day-1.csv", *COLUMNS, *sizes, "--validation-share", "0", "--name", "shop")
    assert first.status == 0 and "updates that part alone" in first.out
    write_csv(days[1], 2000)
    second = run("train", "day-2.csv", "--from", "runs/shop")
    assert second.status == 0, second.err
    assert second.out.count("by seed 7") == 2 and ", one epoch, seed 7\n" in second.out
    assert "going on from runs/shop, 1 run of 360 rows\nnote: batches of 16 rows are those of runs/shop; " in second.out
    assert "1,600 rows by themselves would have 64, which --batch-size 64 gives them\n" in second.out
    given = ["--batch-size", "256", "--sparse-lr", "0.5", "--seed", "3"]
    third = run("train", "day-3.csv", "--from", "runs/shop-2", *given)
    assert third.status == 0, third.err
    assert third.out.count("by seed 3") == 2
    assert "note: batches" not in third.out and "updates that part alone" not in third.out
    before, after = (Checkpoint(tmp_path / "runs" / name).load()[0].recipe for name in ("shop-2", "shop-3"))
    assert (after.batch_size, after.sparse_lr, after.seed) == (256, 0.5, 3)
    assert after.dense_lr == pytest.approx(2 * before.dense_lr)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["day-2.csv", "--scheme", "full", "--memory", "9"], "--from has the model of runs/shop: leave out --scheme"),
        (["day-2.csv", "--preset", "demo"], "leave out --preset, or train a new one"),
        (["day-2.csv", "--dense", "age", "--string", "city,shop"], "these differ: price; leave all of them out"),
        (["day-2.csv", "--dense", "age,price", "--int", "city,shop"], "these differ: city, shop; leave"),
        (
            ["day-2.csv", "--label", "bought"],
            "runs/shop has learnt 'clicked', so --from cannot go on with --label bought",
        ),
        (["renamed.csv"], "renamed.csv: no column 'city'"),
        (["bad.csv", "--held-out", "day-3.csv"], "bad.csv: "),
        (["day-2.csv", "--run", "runs/shop"], "runs/shop is the run to go on from, which stays as it is"),
        (["--generate", "1000"], "--generate makes all rows anew; --from and --negatives-kept are for click files"),
    ],
)
def test_what_another_model_would_be_is_refused(
    run: Run, days: list[Path], tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    assert first_day(run).status == 0
    header, *rows = days[1].read_text().splitlines()
    (tmp_path / "bad.csv").write_text("\n".join([header, *(f"maybe{row[1:]}" for row in rows)]))
    (tmp_path / "renamed.csv").write_text(days[1].read_text().replace("city,shop", "town,shop", 1))
    before = (tmp_path / "runs" / "shop" / "checkpoint.pt").read_bytes()
    refused(run("train", *arguments, "--from", "runs/shop"), sentence)
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["cache", "shop"]
    assert (tmp_path / "runs" / "shop" / "checkpoint.pt").read_bytes() == before


def test_no_run_to_go_on_from(run: Run, days: list[Path]) -> None:
    refused(run("train", "day-2.csv", "--from", "runs/gone"), "runs/gone: no training run here")


def test_a_day_that_was_killed_goes_on_as_if_it_had_not(run: Run, days: list[Path], tmp_path: Path) -> None:
    assert first_day(run).status == 0
    write_csv(days[1], 1000)
    code = "from thimble.export.cli import main; main()"
    command = [sys.executable, "-c", code, "train", "day-2.csv", "--from", "runs/shop", "--checkpoint-rows", "128"]
    command += ["--epochs", "2"]
    checkpoint = tmp_path / "runs" / "shop-2" / "checkpoint.pt"
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not checkpoint.exists():
            with suppress(subprocess.TimeoutExpired):
                assert process.wait(0.01) is None, "ended before it wrote a checkpoint"
        process.kill()
    assert process.returncode == -signal.SIGKILL
    refused(run("train", "day-3.csv", "--from", "runs/shop-2"), "runs/shop-2: training is not finished; the same train")
    arguments = ["day-2.csv", "--from", "runs/shop", "--epochs", "2"]
    assert run("train", *arguments).status == 0
    assert run("train", *arguments, "--run", "runs/whole").status == 0
    killed, whole = (weights(tmp_path / "runs" / name) for name in ("shop-2", "whole"))
    assert all(torch.equal(killed[name], whole[name]) for name in whole)
