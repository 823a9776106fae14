import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import onnx
import pytest

from testing.data import DEMO
from testing.samples import write_csv
from tests.export.conftest import Run, Said
from thimble.export.scoring.evaluate import read_spec
from thimble.export.training.checkpoint import Checkpoint

COLUMNS = ["--label", "clicked", "--dense", "age,price", "--string", "city, shop"]
SMALL = ["--memory", "4000", "--batch-size", "128", "--embedding-dim", "8", "--dense-arch", "8", "--over-arch", "16"]


def test_train_export_inspect_and_evaluate(run: Run, tmp_path: Path) -> None:
    csv = write_csv(tmp_path / "clicks.csv", 3000)
    trained = run("train", csv, *COLUMNS, *SMALL, "--name", "shop", "--epochs", "8", "--validation-share", "0")
    assert trained.status == 0, trained.err
    assert "2,700 rows to train on, 300 held out; checkpoints in runs/shop" in trained.out
    assert "held out: AUC 0." in trained.out
    assert float(trained.out.split("held out: AUC ")[1].split()[0]) > 0.6

    exported = run("export", "runs/shop")
    assert exported.status == 0, exported.err
    assert exported.out.startswith("artifacts/shop/1/model.onnx: ")
    assert run("export", "runs/shop").out.startswith("artifacts/shop/2/model.onnx: ")

    artifact = tmp_path / "artifacts" / "shop" / "1" / "model.onnx"
    inspected = run("inspect", artifact)
    assert inspected.status == 0
    assert "2 dense, 2 fields (2 string)" in inspected.out
    assert "trained on         clicks.csv: 21,600 rows, batch 128, seed 0" in inspected.out
    described = json.loads(run("inspect", "--json", artifact).out)
    assert described["file_bytes"] == artifact.stat().st_size
    assert described["fields"][0] == {"name": "city", "kind": "string", "rows": 30}
    assert described["fields"][1] == {"name": "shop", "kind": "string", "rows": 12}
    assert described["precision"]["memory"] == "int4" and described["embedding_bytes"] == 4000
    assert len(described["golden"]["scores"]) == 33

    small = run("export", "runs/shop", "--precision", "int8")
    assert small.status == 0, small.err
    path, *_, cost = small.out.splitlines()
    assert path.startswith("artifacts/shop/3/model.onnx: ")
    assert cost.startswith("int4 embeddings, int8 MLPs cost: AUC ") and cost.endswith(", 300 held-out rows")
    inspected = run("inspect", "artifacts/shop/3/model.onnx")
    assert "model              shop, schema 2, int4 embeddings, int8 MLPs" in inspected.out
    assert f"precision costs    {cost.partition(': ')[2]}" in inspected.out
    refused(run("export", "runs/shop", "--precision", "int8", "--version", "3"), "shop/3 exists")

    other = write_csv(tmp_path / "other.csv", 500, seed=1)
    with other.open("a") as file:
        file.write("1,old,1,a,b\n")
    evaluated = run("evaluate", artifact, other, "--label", "clicked")
    assert evaluated.status == 0, evaluated.err
    assert "1 bad rows were left out:\n  other.csv line 502: age: 'old' is not a finite number\n" in evaluated.out
    assert ", 500 rows" in evaluated.out
    strict = run("evaluate", artifact, other, "--label", "clicked", "--strict")
    assert (strict.status, strict.err.count("\n")) == (1, 1)
    assert "other.csv line 502: age: 'old'" in strict.err

    other.write_text(other.read_text().replace("clicked,", "visit,", 1))
    sentence = "no column 'clicked'; there are 'visit', 'age', 'price', 'city', 'shop'; `--label` says which column"
    refused(run("evaluate", artifact, other, "--label", "clicked"), sentence)
    scored = run("score", artifact, other, "--key", "visit, city", "--output", "scores.csv")
    assert scored.status == 0, scored.err
    assert "1 bad rows have no score:\n  other.csv line 502: age: 'old'" in scored.out
    assert scored.out.endswith("scores.csv: 501 rows\n")
    header, *scores = (tmp_path / "scores.csv").read_text().splitlines()
    assert header == "visit,city,score" and scores[-1] == "1,a," and len(scores) == 501
    strict = run("score", artifact, other, "--output", "strict.csv", "--strict")
    refused(strict, "other.csv line 502: age: 'old'")
    assert not (tmp_path / "strict.csv").exists()


def test_a_folder_as_it_was_written_by_others(run: Run, tmp_path: Path) -> None:
    """Dated sub-folders and notes among them; words of their own for missing values; moments as text."""
    folder = tmp_path / "clicks"
    for day in (1, 2):
        file = folder / f"city=Oslo%2F{day}" / "part-0"
        file.parent.mkdir(parents=True)
        rows = [f"{i % 2};{i if i % 5 else '-'};2026-01-{day:02} 12:00" for i in range(100)]
        file.write_text("\n".join(["clicked;age;at", *rows, ""]))
    (folder / "_SUCCESS").touch()
    columns = ["--label", "clicked", "--dense", "age,at", "--string", "city", "--missing", "-", "--timestamps"]
    trained = run("train", folder, *columns, *SMALL)
    assert trained.status == 0, trained.err
    assert "passed over (1): _SUCCESS\n" in trained.out
    assert "144 rows to train on, 36 for validation, 20 held out" in trained.out and "bad rows" not in trained.out

    (tmp_path / "bad.csv").write_text("clicked,age,at,city\n" + "1,old,1,Oslo\n" * 20_000)
    reason = "'old' is not a finite number"
    ended = "column 'age': not one of its first 10,000 values can be read"
    refused(run("train", "bad.csv", *columns, *SMALL), f"{ended}; bad.csv line 10001: {reason}")
    (tmp_path / "bad.csv").write_text("clicked,age,at,city\n" + "1,old,1,Oslo\n" * 20)
    said = run("train", "bad.csv", *columns, *SMALL, "--run", "runs/bad")
    refused(said, "no usable row")
    assert f"20 bad rows were left out:\n  bad.csv line 2: age: {reason}\n  bad.csv line 3: " in said.out


def test_evaluate_says_why_when_all_rows_are_bad(run: Run, tmp_path: Path) -> None:
    (tmp_path / "clicks").mkdir()
    (tmp_path / "clicks" / "_SUCCESS").touch()
    (tmp_path / "clicks" / "day_0").write_text("nonsense\n" * 3)
    said = run("evaluate", DEMO, "clicks")
    refused(said, "day_0: no usable rows")
    first, *lines = said.out.splitlines()
    assert first == "passed over (1): _SUCCESS"
    assert lines == [
        "3 bad rows were left out:",
        *(f"  day_0 line {i}: 40 columns expected, found 1" for i in (1, 2, 3)),
    ]


def test_train_on_generated_clicks(run: Run) -> None:
    sizes = ["--memory", "100000", "--batch-size", "1024"]
    said = run("train", "--generate", "1000", "--preset", "criteo-kaggle", *sizes, "--name", "kaggle")
    assert said.status == 0, said.err
    assert "best reachable 0.8" in said.out
    held_out = Checkpoint(Path("runs/kaggle")).load()[1].held_out
    assert held_out is not None and held_out.start == 1200  # behind 200 for validation, so that more can be drawn
    again = run("train", "--generate", "1000", "--preset", "criteo-kaggle", *sizes, "--name", "kaggle")
    assert again.out.splitlines()[-1] == said.out.splitlines()[-1]
    assert "order: as they are generated, each independent of all others\n" in said.out


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([], "clicks are generated with a preset's features, so --generate needs a --preset"),
        (["--preset", "feed", "--split", "time:t"], "the last rows are held out; leave out --split and --group"),
        (["--preset", "criteo-kaggle", "--group", "C1"], "the last rows are held out; leave out --split and --group"),
    ],
)
def test_generated_clicks_are_a_presets_and_split_in_one_way(run: Run, options: list[str], sentence: str) -> None:
    refused(run("train", "--generate", "1000", *options), sentence)


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "clicks.csv", 60)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (COLUMNS, "give click files or --generate N, one of the two"),
        (["clicks.csv", "--generate", "1000"], "give click files or --generate N, one of the two"),
        (["--generate", "1000"], "--generate needs a --preset"),
        (
            ["clicks.csv", "--preset", "netflix"],
            "no preset 'netflix'; there are criteo-tb, criteo-tb-v2, criteo-kaggle, feed and demo",
        ),
        (["clicks.csv", *COLUMNS, "--scheme", "cuckoo"], "no scheme 'cuckoo'; there are block"),
        (["--generate", "1000", "--preset", "demo", "--scheme", "x"], "no scheme 'x'; there are block"),
        (["nowhere.csv", *COLUMNS], "nowhere.csv: no such file or folder"),
        (["clicks.csv", *COLUMNS, "--held-out", "gone.csv"], "gone.csv: no such file or folder"),
        (["clicks.csv", *COLUMNS, "--hex", "hue"], "clicks.csv: no column 'hue'; there are 'clicked', 'age', "),
        (["clicks.csv", "--dense", "age", "--string", "city"], "clicks.csv: no column 'label'"),
        (["clicks.csv"], "name the features' columns with --dense, --int, --hex or --string, or give a --preset"),
        (["clicks.csv", *COLUMNS, "--int", "age"], "feature names must be unique, these are not: age"),
        (["clicks.csv", *COLUMNS, "--dense-arch", "8,x"], "--dense-arch takes widths separated by commas, not '8,x'"),
        (["clicks.csv", *COLUMNS, "--dense-arch", "8,-16"], "--dense-arch takes widths separated by commas"),
        (["clicks.csv", *COLUMNS, "--dense-arch", "0"], "--dense-arch takes widths separated by commas"),
        (["clicks.csv", *COLUMNS, "--dense-arch", ""], "--dense-arch takes widths separated by commas"),
        (
            ["clicks.csv", *COLUMNS, "--over-arch", "8,1"],
            "--over-arch takes hidden widths, after which the score's 1 is added",
        ),
        (["clicks.csv", *COLUMNS, "--memory", "6"], "a memory of 6 bytes does not hold two int4 chunks of 4 weights"),
        (["clicks.csv", *COLUMNS, "--name", "a/b"], "name"),
        (["clicks.csv", *COLUMNS, "--run", "clicks.csv/run"], "clicks.csv"),
    ],
)
def test_train_errors_are_one_sentence(run: Run, csv: Path, arguments: list[str], sentence: str) -> None:
    said = run("train", *arguments)
    refused(said, sentence)


def refused(said: Said, sentence: str) -> None:
    assert said.status == 1, said
    assert sentence in said.err
    last = said.err.splitlines()[-1]
    assert last.startswith("thimble-export: ")
    assert "Traceback" not in said.err
    assert len(last) < 1000


def test_unfinished_and_absent_runs_are_not_exported(run: Run, tmp_path: Path) -> None:
    csv = write_csv(tmp_path / "clicks.csv", 3000)
    sizes = ["--batch-size", "64", "--epochs", "50", "--checkpoint-rows", "64"]
    command = [sys.executable, "-c", "from thimble.export.cli import main; main()", "train", str(csv), *COLUMNS, *sizes]
    checkpoint = tmp_path / "runs" / "model" / "checkpoint.pt"
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        while not checkpoint.exists():
            with suppress(subprocess.TimeoutExpired):
                assert process.wait(0.01) is None, "ended before it wrote a checkpoint"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130
    assert err.splitlines()[-1] == "thimble-export: stopped; the same command goes on from here"
    assert "Traceback" not in err
    refused(run("export", "runs/model"), "training is not finished; the same train command resumes it")
    refused(run("export", "runs/other"), "runs/other: no training run here")
    checkpoint.write_bytes(b"PK")
    refused(run("export", "runs/model"), "checkpoint.pt: damaged or not a checkpoint")
    assert not list(tmp_path.glob("artifacts/*"))


@pytest.mark.parametrize("interrupted", ["survey", "indexed"])
def test_what_is_stopped_before_there_is_a_checkpoint_says_so(
    run: Run, csv: Path, interrupted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        f"thimble.export.commands.training_model.{interrupted}", lambda *_: signal.raise_signal(signal.SIGINT)
    )
    said = run("train", csv, *COLUMNS, "--scheme", "full")
    assert said.status == 130
    assert said.err.splitlines()[-1] == "thimble-export: stopped; the same command goes on from here"


def test_files_that_are_no_artifacts(run: Run, csv: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.onnx").touch()
    foreign = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 18]> m (float[N] dense) => (float[N] score) { score = Identity (dense) }'
    )
    onnx.save_model(foreign, tmp_path / "foreign.onnx")
    onnx.helper.set_model_props(foreign, {"thimble": '{"schema_version": 99}'})
    onnx.save_model(foreign, tmp_path / "newer.onnx")
    os.mkfifo(tmp_path / "pipe.onnx")
    for command in (["inspect"], ["evaluate", "clicks.csv"], ["score", "clicks.csv", "--output", "scores.csv"]):
        for name, sentence in [
            ("clicks.csv", "clicks.csv: not an ONNX file"),
            ("gone.onnx", "gone.onnx: No such file"),
            ("empty.onnx", "empty.onnx: not a Thimble artifact"),
            ("foreign.onnx", "foreign.onnx: not a Thimble artifact, it has no 'thimble' metadata"),
            ("newer.onnx", "schema_version 99 is not the one this program reads (2)"),
            (".", ": a folder, not a file"),
            ("pipe.onnx", "pipe.onnx: a pipe, a socket or a device, not a file"),
        ]:
            refused(run(command[0], name, *command[1:]), sentence)


def test_a_full_model_without_its_tables(run: Run, runs: dict[str, Path], tmp_path: Path) -> None:
    assert run("export", runs["full"], "--repository", ".", "--name", "full").status == 0
    (tmp_path / "full" / "1" / "model.weights").unlink()
    (tmp_path / "clicks").write_text("0" + "\t" * 10 + "\n")
    refused(run("evaluate", "full/1/model.onnx", "clicks"), "model.weights")


def test_evaluate_without_usable_rows(run: Run, runs: dict[str, Path], tmp_path: Path) -> None:
    assert run("export", runs["block"], "--repository", ".").status == 0
    (tmp_path / "clicks").write_text("nonsense\n")
    (tmp_path / "unlabelled").write_text(("1" + "\t1" * 9 + "\n") * 2)
    (tmp_path / "caf\udce9").write_text("nonsense\n")
    for file, name in [("clicks", "clicks"), ("caf\udce9", "caf\\udce9")]:
        said = run("evaluate", "small/1/model.onnx", file)
        refused(said, f"{name}: no usable rows; `--label` says which column the labels are, and `thimble-export score`")
        assert f"  {name} line 1: 11 columns expected, found 1\n" in said.out
    said = run("evaluate", "small/1/model.onnx", "unlabelled")
    refused(said, "unlabelled: lines of 10 columns, 11 expected: they have no label; `--label` says which column")
    assert run("score", "small/1/model.onnx", "unlabelled", "--output", "scores.csv").out == "scores.csv: 2 rows\n"
    refused(run("export", runs["block"], "--repository", ".", "--version", "1"), "small/1 exists")
    refused(run("export", runs["block"], "--repository", ".", "--name", "../x"), "name")


def test_an_untrained_model_of_any_size(run: Run, tmp_path: Path) -> None:
    said = run("untrained", "--preset", "criteo-kaggle", "--scheme", "full", "--table-rows", "5000", "--name", "big")
    assert said.status == 0, said.err
    assert said.out == "artifacts/big/1/model.onnx: 3.8 MB, untrained\n"
    spec = read_spec(tmp_path / "artifacts/big/1/model.onnx")
    assert spec.embedding.scheme == "full"
    assert spec.full_table_bytes == spec.embedding_bytes == pytest.approx(5000 * 64, rel=0.05)
    refused(run("untrained", "--preset", "movielens"), "no preset 'movielens'")


def test_click_files_are_read_once_for_several_runs(run: Run, tmp_path: Path) -> None:
    csv = write_csv(tmp_path / "clicks.csv", 400)
    with csv.open("a") as file:
        file.write("1,old,1,a,b\n")
    bad = "1 bad rows were left out:\n  clicks.csv line 402: age: 'old' is not a finite number\n"
    arguments = ["clicks.csv", *COLUMNS, *SMALL, "--epochs", "1"]
    first = run("train", *arguments, "--run", "runs/a")
    assert first.status == 0 and "reading clicks.csv once, into runs/cache/" in first.err
    assert "clicks.csv: 400 good rows, " in first.out and " kB in runs/cache/" in first.out and bad in first.out
    second = run("train", *arguments, "--run", "runs/b", "--split", "share")
    assert second.status == 0 and "reading clicks.csv" not in second.err
    assert second.out == first.out.replace("runs/a", "runs/b")
    refused(run("train", *arguments, "--run", "runs/c", "--strict"), "clicks.csv line 402: age: 'old' is not a")
    streamed = run("train", *arguments, "--run", "runs/d", "--no-cache")
    assert streamed.status == 0 and bad in streamed.out
    assert "order: shuffled anew in each epoch among 131,072 rows at a time, by seed 0\n" in streamed.out
    refused(run("train", *arguments, "--no-cache", "--split", "time:age"), "only in a cache; leave out --no-cache")
