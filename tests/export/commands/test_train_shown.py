"""What can be seen of a training run: its page and TensorBoard's events."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from testing.samples import small_spec, write_csv
from tests.export.conftest import Run
from tests.export.report.pages import scalars
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.rows import Parts, Rows
from thimble.export.report.watch import PAGE, watched
from thimble.export.training.checkpoint import Checkpoint, Progress, RunConfig
from thimble.export.training.recipe import Recipe
from thimble.export.training.train import train

COLUMNS = ["--label", "clicked", "--dense", "age,price", "--string", "city"]
SMALL = ["--memory", "4000", "--batch-size", "128", "--dense-arch", "8", "--over-arch", "16", "--embedding-dim", "8"]


def test_train_writes_a_page_and_says_where(run: Run, tmp_path: Path) -> None:
    csv = write_csv(tmp_path / "clicks.csv", 600)
    options = [*COLUMNS, *SMALL, "--validation-share", "0"]  # which say whether a constant would be better
    first = run("train", csv, *options, "--run", "runs/first")
    assert first.status == 0, first.err
    assert "\nreport: runs/first/report.html\nheld out: AUC " in first.out
    second = run("train", csv, *options, "--group", "shop", "--compare", "runs/first", "--run", "runs/second")
    assert second.status == 0, second.err
    assert "AUC within groups 0." in second.out
    page = Path("runs/second/report.html").read_text()
    assert "Trained on 540 rows in " in page and "<td>runs/first\n(on other rows)</td>" in page
    assert not Path("runs/second/tensorboard").exists()

    Path("runs/second/report.html").unlink()
    again = run("train", csv, *options, "--group", "shop", "--run", "runs/second")
    assert again.status == 0 and Path("runs/second/report.html").is_file()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--compare", "runs/third"], "runs/third: no training run here (checkpoint.pt is missing)"),
        (["--group", "shop", "--split", "group:city"], "rows have one group: --split group:city and --group shop must"),
        (["--group", "user"], "no column 'user'"),
    ],
)
def test_what_cannot_be_shown_is_a_sentence(options: list[str], sentence: str, run: Run, tmp_path: Path) -> None:
    said = run("train", write_csv(tmp_path / "clicks.csv", 100), *COLUMNS, *SMALL, *options)
    assert (said.status, said.err.count("\n")) == (1, 1)
    assert sentence in said.err


def test_tensorboard_that_is_not_installed_is_a_sentence(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.record_writer", None)
    csv = write_csv(tmp_path / "clicks.csv", 600)
    said = run("train", csv, *COLUMNS, *SMALL, "--tensorboard")
    needed = "thimble-export: --tensorboard needs a package: pip install 'thimble-ctr[tensorboard]'\n"
    assert (said.status, said.out, said.err) == (1, "", needed)
    assert not Path("runs").exists()  # before a file was read


def test_held_out_files_have_the_group_that_rows_are_split_by(run: Run, tmp_path: Path) -> None:
    csv, day = write_csv(tmp_path / "clicks.csv", 400), write_csv(tmp_path / "day.csv", 300, seed=1)
    split = ["train", csv, *COLUMNS, *SMALL, "--epochs", "1", "--split", "group:shop", "--held-out"]
    said = run(*split, day)
    assert said.status == 0, said.err
    assert "AUC within groups 0." in said.out.split("\nheld out: ")[1]
    day.write_text(day.read_text().replace("shop", "store", 1))
    said = run(*split, day)
    assert (said.status, said.err.count("\n")) == (1, 1)
    assert "day.csv: no column 'shop'" in said.err


@pytest.fixture
def trained(tmp_path: Path) -> Callable[..., None]:
    """Two epochs on a few rows, in the test's own folder, watched."""
    names = small_spec().feature_names
    rows = ([str(i % 3 // 2), *[str(i % 7)] * len(names)] for i in range(300))
    (tmp_path / "clicks.csv").write_text("".join(",".join(row) + "\n" for row in (["label", *names], *rows)))
    source = FileClicks([tmp_path / "clicks.csv"], small_spec())
    parts = Parts(Rows(source, 0, 200), Rows(source, 200, 250), Rows(source, 250, 300))

    def go(watch: Callable[[RunConfig, Progress], None]) -> None:
        train(small_spec(), parts, Recipe(batch_size=50, epochs=2), tmp_path / "run", watch=watch)

    return go


def test_a_run_that_goes_on_shows_each_point_once(trained: Callable[..., None], tmp_path: Path) -> None:
    folder = tmp_path / "run"

    def killed(config: RunConfig, progress: Progress) -> None:
        watch(config, progress)
        assert "Not finished: 1 of at most 2 epochs are done" in (folder / PAGE).read_text()
        raise KeyboardInterrupt

    with watched(folder, [], True) as watch, pytest.raises(KeyboardInterrupt):
        trained(killed)
    for _ in range(2):  # it goes on, and it was over
        with watched(folder, [], True) as watch:
            trained(watch)
        _, progress, _ = Checkpoint(folder).load()
        shown = scalars(folder / "tensorboard")
        assert [rows for rows, _ in shown["loss/training"]] == [point.rows for point in progress.history] == [200, 400]
        assert [auc for _, auc in shown["AUC/validation"]] == pytest.approx([point.auc for point in progress.history])
        assert "Not finished" not in (folder / PAGE).read_text()


def test_a_page_that_cannot_be_written_costs_no_run(
    trained: Callable[..., None], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run" / PAGE).mkdir(parents=True)
    with watched(tmp_path / "run", [], False) as watch:
        trained(watch)
    assert Checkpoint(tmp_path / "run").load()[1].metrics is not None
    assert f"{tmp_path / 'run'}: the run cannot be shown (Is a directory), but goes on\n" in capfd.readouterr().err
