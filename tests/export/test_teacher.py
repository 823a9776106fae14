"""Small models that learn from a file of a large one, from the command line."""

import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from testing.samples import write_csv
from tests.export.conftest import Run
from tests.export.test_cli import refused
from tests.export.training.test_train import same_weights
from thimble.export.artifact.agreement import onnx_scores, onnx_session
from thimble.export.artifact.graph import MODEL_FILE
from thimble.export.artifact.pipeline import export
from thimble.export.cli import main
from thimble.export.clicks.files import FileClicks
from thimble.export.scoring.evaluate import read_spec
from thimble.export.training.checkpoint import Checkpoint, load_trained
from thimble.models.hashing import Floats

COLUMNS = ["--label", "clicked", "--dense", "age,price", "--string", "city,shop"]
SIZES = ["--embedding-dim", "8", "--dense-arch", "8", "--over-arch", "16", "--batch-size", "64"]
OTHER_ORDER = ["--label", "clicked", "--dense", "price,age", "--string", "shop,city", *SIZES, "--memory", "400"]


@pytest.fixture(scope="module")
def teachers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with full tables that were trained on 3,000 rows."""
    folder = tmp_path_factory.mktemp("teachers")
    csv = write_csv(folder / "history.csv", 3000)
    options = [*COLUMNS, *SIZES, "--scheme", "full", "--name", "big", "--no-cache", "--epochs", "3"]
    command = ["thimble-export", "train", str(csv), *options, "--run", str(folder / "run")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as ended:
            main()
    assert not ended.value.code
    export(load_trained(folder / "run"), folder)
    return folder / "big"


@pytest.fixture
def teacher(teachers: Path, tmp_path: Path) -> Path:
    """A file of its own."""
    shutil.copytree(teachers / "1", tmp_path / "big")
    return tmp_path / "big" / MODEL_FILE


def scores(artifact: Path, csv: Path) -> Floats:
    clicks = FileClicks([csv], read_spec(artifact), "clicked")
    session = onnx_session(str(artifact))
    return np.concatenate([onnx_scores(session, part.batch) for part in clicks.read(0, clicks.count(), 512)])


def test_a_student_scores_nearer_to_its_teacher_than_one_without(run: Run, teacher: Path, tmp_path: Path) -> None:
    few, others = write_csv(tmp_path / "few.csv", 600, seed=1), write_csv(tmp_path / "others.csv", 1000, seed=2)
    apart = {}
    for name, options in {"taught": ["--teacher", teacher], "alone": []}.items():
        said = run("train", few, *OTHER_ORDER, *options, "--name", name, "--validation-share", "0", "--epochs", "4")
        assert said.status == 0, said.err
        assert ("teacher: big, trained on history.csv: " in said.out) == (name == "taught")
        assert run("export", f"runs/{name}").status == 0
        artifact = tmp_path / "artifacts" / name / "1" / MODEL_FILE
        apart[name] = np.abs(scores(artifact, others) - scores(teacher, others)).mean()
        inspected = run("inspect", artifact).out
        assert ("teacher            big, trained on history.csv: " in inspected) == (name == "taught")
    assert apart["taught"] < 0.95 * apart["alone"]
    provenance = read_spec(tmp_path / "artifacts" / "taught" / "1" / MODEL_FILE).provenance
    seen = read_spec(teacher).provenance
    assert provenance and provenance.teacher and seen
    assert (provenance.teacher.name, provenance.teacher.rows_trained) == ("big", seen.rows_trained)

    said = run(
        "train", few, "--from", "runs/taught"
    )  # who goes on from a student has a teacher's scores in its weights
    assert said.status == 0, said.err
    assert run("export", "runs/taught-2").status == 0
    inspected = run("inspect", "artifacts/taught/2/model.onnx").out
    assert "teacher            big, trained on history.csv: " in inspected and "went on from       1 run" in inspected


@pytest.mark.parametrize(("rows", "begun"), [(300, "MLPs and embeddings"), (3000, "MLPs")])
def test_a_student_of_the_same_shape_begins_as_its_teacher(
    run: Run, teacher: Path, tmp_path: Path, rows: int, begun: str
) -> None:
    """At rates that change nothing, with room for all ids, the few rows' student scores as the teacher but for their
    base rate. What numbers become is the teacher's too, whatever the student's rows would say.
    """
    csv = write_csv(tmp_path / "clicks.csv", rows, seed=1)
    options = ["--memory", "400000", "--memory-precision", "fp32", "--dense-lr", "1e-12", "--sparse-lr", "1e-12"]
    command = ["train", csv, *COLUMNS, *SIZES, *options, "--validation-share", "0", "--teacher", teacher]
    said = run(*command, "--name", "shop")
    assert said.status == 0, said.err
    assert f"% of a target is its score, {begun} begin as its own\n" in said.out
    assert run("export", "runs/shop").status == 0
    artifact = tmp_path / "artifacts" / "shop" / "1" / MODEL_FILE
    ours, theirs = (np.log(p / (1 - p)) for p in (scores(artifact, csv), scores(teacher, csv)))
    alike = np.allclose(ours - theirs, np.mean(ours - theirs), atol=1e-3)
    assert alike == ("embeddings" in begun)
    assert read_spec(artifact).dense_transform == read_spec(teacher).dense_transform
    assert f"{begun} begin as its own\n" in run("inspect", artifact).out


@pytest.mark.parametrize("other", [["--dense-transform", "criteo"], ["--over-arch", "17"], ["--embedding-dim", "4"]])
def test_a_student_of_another_shape_learns_scores_alone(
    run: Run, teacher: Path, tmp_path: Path, other: list[str]
) -> None:
    write_csv(tmp_path / "clicks.csv", 300)
    said = run("train", "clicks.csv", *COLUMNS, *SIZES, *other, "--teacher", teacher, "--epochs", "1")
    assert said.status == 0, said.err
    assert "% of a target is its score, no weights begin as its own\n" in said.out


def test_platt_scaling_and_sampled_negatives_stay_right_with_a_teacher(run: Run, teacher: Path, tmp_path: Path) -> None:
    """The mean score is the log's base rate, though the rows hold five times as large a share of clicks."""
    header, *rows = write_csv(tmp_path / "log.csv", 4000, seed=3).read_text().splitlines()
    negatives = [row for row in rows if row.startswith("0")]
    sampled = [*(row for row in rows if row.startswith("1")), *negatives[::5]]
    (tmp_path / "sampled.csv").write_text("\n".join([header, *sampled]) + "\n")
    options = ["--teacher", teacher, "--negatives-kept", "0.2", "--platt", "--validation-share", "0.3"]
    said = run("train", "sampled.csv", *OTHER_ORDER, *options, "--name", "student", "--epochs", "3")
    assert said.status == 0, said.err
    assert "Platt scaling: slope " in said.out
    assert run("export", "runs/student").status == 0
    of_log = scores(tmp_path / "artifacts" / "student" / "1" / MODEL_FILE, tmp_path / "log.csv")
    assert of_log.mean() == pytest.approx(1 - len(negatives) / len(rows), rel=0.15)


def test_a_run_with_a_teacher_that_was_killed_goes_on_as_if_it_had_not(run: Run, teacher: Path, tmp_path: Path) -> None:
    csv = write_csv(tmp_path / "clicks.csv", 3000, seed=1)
    code, nowhere = "from thimble.export.cli import main; main()", subprocess.DEVNULL
    options = [*OTHER_ORDER, "--checkpoint-rows", "128", "--epochs", "4", "--no-cache", "--teacher", teacher]

    def command(name: str) -> list[str]:
        return ["train", *map(str, [csv, *options, "--run", tmp_path / name])]

    with subprocess.Popen([sys.executable, "-c", code, *command("killed")], stdout=nowhere, stderr=nowhere) as process:
        while not (tmp_path / "killed" / "checkpoint.pt").exists():
            with suppress(subprocess.TimeoutExpired):
                assert process.wait(0.01) is None, "ended before it wrote a checkpoint"
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert Checkpoint(tmp_path / "killed").load()[1].metrics is None
    for name in ("killed", "whole"):
        assert run(*command(name)).status == 0
    assert same_weights(tmp_path / "killed", tmp_path / "whole")


def test_a_run_goes_on_with_its_teacher_alone(run: Run, teacher: Path, tmp_path: Path) -> None:
    write_csv(tmp_path / "clicks.csv", 300)
    command = ["train", "clicks.csv", *OTHER_ORDER, "--epochs", "1", "--run", "runs/shop"]
    assert run(*command, "--teacher", teacher).status == 0
    moved = teacher.parent.rename(tmp_path / "elsewhere") / MODEL_FILE
    assert run(*command, "--teacher", moved).status == 0  # the very same file
    refused(run(*command, "--teacher", teacher), f"{teacher}: No such file or directory")
    refused(run(*command), "runs/shop holds another run (teacher differ)")
    assert (
        run("train", "clicks.csv", *COLUMNS, *SIZES, "--scheme", "full", "--name", "big", "--epochs", "1").status == 0
    )
    assert run("export", "runs/big").status == 0
    said = run(*command, "--teacher", "artifacts/big/1/model.onnx")
    refused(said, "artifacts/big/1/model.onnx is not, or not any more, the teacher 'big' that runs/shop was begun with")


def test_files_that_cannot_teach_are_refused_in_a_sentence(run: Run, teacher: Path, tmp_path: Path) -> None:
    csv = write_csv(tmp_path / "clicks.csv", 300)
    command = ["train", "clicks.csv", *OTHER_ORDER, "--teacher"]
    refused(run(*command, csv), f"{csv}: not an ONNX file")
    refused(run(*command, tmp_path), f"{tmp_path}: ")
    fewer = [
        "train",
        "clicks.csv",
        "--label",
        "clicked",
        "--dense",
        "age",
        "--string",
        "city,shop",
        "--teacher",
        teacher,
    ]
    refused(run(*fewer), f"{teacher} takes other features than the model that it is to teach: price (number) differ")
    weights = teacher.with_name("model.weights")
    content = bytearray(weights.read_bytes())
    content[100] ^= 1
    weights.write_bytes(content)
    refused(run(*command, teacher), f"{weights}: not the weights that {teacher} was exported with")
    weights.unlink()
    refused(run(*command, teacher), f"{weights}: No such file or directory")
    assert not (tmp_path / "runs").exists()


def test_a_teacher_may_be_small_and_of_any_scheme(run: Run, tmp_path: Path) -> None:
    write_csv(tmp_path / "clicks.csv", 300)
    small = ["--label", "clicked", "--dense", "age,price", "--string", "city,shop", *SIZES, "--epochs", "1"]
    assert run("train", "clicks.csv", *small, "--memory", "400", "--name", "first").status == 0
    assert run("export", "runs/first", "--precision", "int8").status == 0
    taught = ["--scheme", "full", "--name", "second", "--teacher", "artifacts/first/1/model.onnx"]
    said = run("train", "clicks.csv", *small, *taught)
    assert said.status == 0, said.err
    assert "teacher: first, trained on clicks.csv: " in said.out
