import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from testing.samples import criteo_spec, in_form, small_spec, write_csv
from thimble.export.clicks.files import FileClicks
from thimble.export.clicks.generate import GeneratedClicks
from thimble.export.clicks.rows import ClickError, Clicks, ClickSource, Parts, Rows
from thimble.export.training.checkpoint import Checkpoint, load_trained
from thimble.export.training.errors import RunError
from thimble.export.training.optimizers import optimizers
from thimble.export.training.recipe import Recipe, recipe_for
from thimble.export.training.train import train
from thimble.models.nn.dlrm import DLRM
from thimble.models.nn.recommender import ParameterGroups
from thimble.models.quantization import MemoryPrecision
from thimble.models.spec import Metrics, ModelSpec

RECIPE = Recipe(batch_size=256, epochs=2)
TRAIN_ROWS, HELD_OUT_ROWS = 5000, 1000


def weights(folder: Path) -> dict[str, torch.Tensor]:
    _, _, state = Checkpoint(folder).load()
    model: dict[str, torch.Tensor] = state["model"]
    return model


def same_weights(first: Path, second: Path) -> bool:
    a, b = weights(first), weights(second)
    assert a.keys() == b.keys()
    return all(torch.equal(a[name], b[name]) for name in a)


def fit(
    spec: ModelSpec,
    folder: Path,
    recipe: Recipe = RECIPE,
    source: ClickSource | None = None,
    checkpoint_rows: int = 1500,
) -> Metrics:
    source = source or GeneratedClicks(spec, TRAIN_ROWS + HELD_OUT_ROWS, 0)
    parts = Parts(Rows(source, 0, TRAIN_ROWS), Rows(source, TRAIN_ROWS, TRAIN_ROWS + HELD_OUT_ROWS))
    return train(spec, parts, recipe, folder, checkpoint_rows)


@dataclass
class Interrupted:
    """A source whose user presses Ctrl-C, or whose machine sends SIGTERM, as the given batch is read."""

    source: ClickSource
    batch: int
    number: signal.Signals
    read_on: int = 0

    @property
    def description(self) -> str:
        return self.source.description

    @property
    def files(self) -> Sequence[Path]:
        return self.source.files

    @property
    def identity(self) -> str:
        return self.source.identity

    def count(self) -> int:
        return self.source.count()

    def read(self, start: int, stop: int, size: int) -> Iterator[Clicks]:
        for clicks in self.source.read(start, stop, size):
            if start >= TRAIN_ROWS or size not in (RECIPE.batch_size, 512):  # a look at rows, to judge or to start from
                yield clicks
                continue
            self.batch -= 1
            self.read_on += self.batch < 0
            if self.batch == 0:
                signal.raise_signal(self.number)
            yield clicks


@pytest.mark.parametrize(
    ("form", "scheme", "precision", "batch", "number"),
    [
        ("dlrm", "block", "fp32", 3, signal.SIGINT),
        ("dlrm", "block", "int4", 27, signal.SIGTERM),
        ("dlrm", "full", "fp32", 9, signal.SIGINT),
        ("dlrm", "robe-v1", "fp32", 20, signal.SIGINT),
        ("dcnv2", "block", "int4", 30, signal.SIGINT),
        ("dcnv2 with vectors of numbers", "full", "fp32", 5, signal.SIGINT),
        ("deepfm", "block", "int4", 25, signal.SIGINT),
        ("wide-deep", "block", "int4", 8, signal.SIGINT),
        ("mlp", "block", "int4", 12, signal.SIGTERM),
    ],
)
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not(
    tmp_path: Path, form: str, scheme: str, precision: MemoryPrecision, batch: int, number: signal.Signals
) -> None:
    spec = in_form(criteo_spec(scheme, precision=precision), form)
    source = Interrupted(GeneratedClicks(spec, TRAIN_ROWS + HELD_OUT_ROWS, 0), batch, number)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit(spec, tmp_path / "stopped", source=source)
    assert signal.getsignal(signal.SIGINT) is handler
    assert source.read_on == 0  # it stopped with the batch at hand
    _, progress, _ = Checkpoint(tmp_path / "stopped").load()
    assert 0 < progress.rows_trained < 2 * TRAIN_ROWS
    with pytest.raises(RunError, match="training is not finished; the same train command resumes it"):
        load_trained(tmp_path / "stopped")
    resumed = fit(spec, tmp_path / "stopped")
    assert resumed == fit(spec, tmp_path / "whole")
    assert same_weights(tmp_path / "stopped", tmp_path / "whole")
    trained = load_trained(tmp_path / "stopped")
    assert trained.spec.provenance is not None
    assert trained.spec.provenance.rows_trained == 2 * TRAIN_ROWS
    assert trained.golden == load_trained(tmp_path / "whole").golden


def command(csv: Path, run: Path, *options: str) -> list[str]:
    code = "from thimble.export.cli import main; main()"
    columns = ["--label", "clicked", "--dense", "age,price", "--string", "city,shop"]
    sizes = ["--batch-size", "64", "--epochs", "4", "--checkpoint-rows", "128"]
    return [sys.executable, "-c", code, "train", str(csv), *columns, *sizes, *options, "--run", str(run)]


@pytest.mark.parametrize(
    "options", [["--memory", "4000"], ["--memory", "1500", "--hot-rows", "auto"], ["--scheme", "full"]], ids=" ".join
)
def test_a_run_that_was_killed_goes_on_as_if_it_had_not(tmp_path: Path, options: list[str]) -> None:
    csv = write_csv(tmp_path / "clicks.csv", 3000)
    with subprocess.Popen(
        command(csv, tmp_path / "killed", *options), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while not (tmp_path / "killed" / "checkpoint.pt").exists():
            with suppress(subprocess.TimeoutExpired):
                assert process.wait(0.01) is None, "ended before it wrote a checkpoint"
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert Checkpoint(tmp_path / "killed").load()[1].metrics is None
    outputs = [
        subprocess.run(command(csv, tmp_path / name, *options), capture_output=True, text=True, check=True).stdout
        for name in ("killed", "whole")
    ]
    assert [output.splitlines()[-1] for output in outputs] == [outputs[0].splitlines()[-1]] * 2
    assert "held out: AUC" in outputs[0]
    assert ("hot rows: " in outputs[1] and "none would pay" not in outputs[1]) == ("--hot-rows" in options)
    assert same_weights(tmp_path / "killed", tmp_path / "whole")


def test_the_seed_decides_the_weights(tmp_path: Path) -> None:
    spec = criteo_spec()
    recipe = Recipe(batch_size=512)
    torch.manual_seed(99)
    fit(spec, tmp_path / "a", recipe)
    torch.manual_seed(100)
    fit(spec, tmp_path / "b", recipe)
    fit(spec, tmp_path / "c", Recipe(batch_size=512, seed=1))
    assert same_weights(tmp_path / "a", tmp_path / "b")
    assert not same_weights(tmp_path / "a", tmp_path / "c")


def test_how_often_it_is_saved_changes_nothing(tmp_path: Path) -> None:
    spec = criteo_spec()
    assert fit(spec, tmp_path / "a", checkpoint_rows=1) == fit(spec, tmp_path / "b")
    assert same_weights(tmp_path / "a", tmp_path / "b")


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    spec = criteo_spec()
    metrics = fit(spec, tmp_path)
    written = (tmp_path / "checkpoint.pt").stat().st_mtime_ns
    source = Interrupted(GeneratedClicks(spec, TRAIN_ROWS + HELD_OUT_ROWS, 0), 1_000_000, signal.SIGINT)
    assert fit(spec, tmp_path, source=source) == metrics
    assert source.batch == 1_000_000  # nothing was read
    assert (tmp_path / "checkpoint.pt").stat().st_mtime_ns == written


def test_another_run_in_the_folder_is_refused_by_what_differs(tmp_path: Path) -> None:
    spec = criteo_spec()
    fit(spec, tmp_path, Recipe())
    before = (tmp_path / "checkpoint.pt").read_bytes()
    others = [
        (spec, Recipe(seed=3), "(seed differ)"),
        (spec, Recipe(batch_size=99, epochs=2), "(batch_size, epochs differ)"),
        (criteo_spec(memory=2048), Recipe(dense_lr=0.5), "(spec, dense_lr differ)"),
    ]
    for other, recipe, named in others:
        with pytest.raises(RunError, match=re.escape(f"{tmp_path} holds another run {named}; choose another --run")):
            fit(other, tmp_path, recipe)
    source = GeneratedClicks(spec, TRAIN_ROWS + HELD_OUT_ROWS, 1)
    with pytest.raises(RunError, match=r"\(source, clicks, held_out_clicks differ\)"):
        fit(spec, tmp_path, Recipe(), source)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "list", "foreign", "pickle"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, damage: str) -> None:
    spec = criteo_spec()
    fit(spec, tmp_path, Recipe())
    path = tmp_path / "checkpoint.pt"
    whole = path.read_bytes()
    match damage:
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_text("not a checkpoint")
        case "cut":
            path.write_bytes(whole[: len(whole) // 2])
        case "list":
            torch.save([1, 2], path)
        case "foreign":
            torch.save({"state_dict": {}}, path)
        case "pickle":
            torch.save({"config": Checkpoint}, path)
    for use in (lambda: fit(spec, tmp_path, Recipe()), lambda: load_trained(tmp_path)):
        with pytest.raises(RunError, match=rf"^{path}: damaged or not a checkpoint \(.+\)$"):
            use()


def test_no_run_here(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no training run here \(checkpoint.pt is missing\)"):
        load_trained(tmp_path)


def test_bad_rows_are_left_out_of_training(tmp_path: Path) -> None:
    spec = small_spec(dense=2, kinds=("string", "string"))
    good = [f"{i % 2}\t{i}\t{i % 7}\ta{i % 5}\tb{i % 3}" for i in range(600)]
    (tmp_path / "clicks").write_text("\n".join([*good[:100], *["nonsense"] * 200, *good[100:]]) + "\n")
    source = FileClicks([tmp_path / "clicks"], spec)
    metrics = train(spec, Parts(Rows(source, 0, 700), Rows(source, 700, 800)), Recipe(batch_size=64), tmp_path / "run")
    assert metrics.rows == 100
    trained = load_trained(tmp_path / "run")
    assert trained.spec.provenance is not None
    assert trained.spec.provenance.rows_trained == 500
    assert source.bad.count == 200


def test_nothing_but_bad_rows_is_an_error(tmp_path: Path) -> None:
    spec = small_spec()
    (tmp_path / "clicks").write_text("nonsense\n" * 100)
    source = FileClicks([tmp_path / "clicks"], spec)
    with pytest.raises(ClickError, match="no usable row"):
        train(spec, Parts(Rows(source, 0, 90), Rows(source, 90, 100)), Recipe(), tmp_path / "run")


class Forgetful(DLRM):
    """Leaves one part out of its optimizer groups."""

    def parameter_groups(self) -> ParameterGroups:
        return super().parameter_groups()._replace(dense=[*self.dense_arch.parameters()])


class Repetitive(DLRM):
    """Names a part twice."""

    def parameter_groups(self) -> ParameterGroups:
        dense, sparse = super().parameter_groups()
        return ParameterGroups([*dense, *sparse], sparse)


@pytest.mark.parametrize(
    ("module", "sentence"),
    [
        (Forgetful, "parameter over_arch.0.weight is in 0 optimizer groups of Forgetful, not in one"),
        (Repetitive, "parameter sparse_arch.memory is in 2 optimizer groups of Repetitive, not in one"),
    ],
)
def test_a_parameter_that_would_not_be_trained_once_is_named(module: type[DLRM], sentence: str) -> None:
    with pytest.raises(RunError, match=re.escape(sentence)):
        optimizers(module(small_spec()), Recipe())


def test_a_run_that_diverges_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="training diverged, the loss is"):
        fit(criteo_spec(), tmp_path, Recipe(batch_size=64, dense_lr=1e30))


def test_held_out_rows_of_one_class(tmp_path: Path) -> None:
    spec = small_spec(dense=1, kinds=("int",))
    (tmp_path / "clicks").write_text("".join(f"{int(i < 50)}\t{i}\t{i}\n" for i in range(100)))
    source = FileClicks([tmp_path / "clicks"], spec)
    metrics = train(spec, Parts(Rows(source, 0, 90), Rows(source, 90, 100)), Recipe(), tmp_path / "run")
    assert metrics.auc is None
    assert load_trained(tmp_path / "run").spec.metrics == metrics


def test_a_compressed_model_learns_about_as_much_as_full_tables(tmp_path: Path) -> None:
    aucs = []
    for scheme in ("block", "full"):
        spec = criteo_spec(scheme, rows=2000, memory=65536)
        source = GeneratedClicks(spec, 140_000, 0)
        recipe = recipe_for(120_000, validated=False)
        parts = Parts(Rows(source, 0, 120_000), Rows(source, 120_000, 140_000))
        metrics = train(spec, parts, recipe, tmp_path / scheme)
        assert metrics.auc is not None and metrics.best_auc is not None
        assert 0.7 < metrics.auc < metrics.best_auc
        aucs.append(metrics.auc)
    assert criteo_spec(rows=2000, memory=65536).compression > 3
    assert aucs[0] > aucs[1] - 0.01
