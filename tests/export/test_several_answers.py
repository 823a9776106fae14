"""Models of several answers, from the command line."""

import csv
import shutil
from pathlib import Path

import numpy as np
import onnx
import pyarrow.parquet as pq
import pytest
import torch

from testing.samples import FORMS, HEADS, in_form, random_batch, small_spec, write_conversions, write_csv
from tests.export.conftest import Run
from tests.export.test_cli import refused
from thimble.export.artifact.agreement import onnx_scores, onnx_session, prove
from thimble.export.artifact.graph import build
from thimble.export.clicks.generate import GeneratedClicks
from thimble.export.scoring.evaluate import read_spec
from thimble.export.training.checkpoint import Checkpoint, load_trained
from thimble.export.training.evaluation import score
from thimble.models.heads import Head
from thimble.models.nn.registry import recommender
from thimble.models.presets import preset
from thimble.models.spec import Precision, answering

COLUMNS = ["--dense", "age,price", "--string", "city,shop"]
LABEL = ["--label", "click,conversion:click"]
SMALL = ["--memory", "20000", "--batch-size", "64", "--embedding-dim", "8", "--dense-arch", "8", "--over-arch", "8,8"]
TRAIN = ["train", "shop.csv", *LABEL, *COLUMNS, *SMALL, "--name", "shop", "--epochs", "20"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with clicks and the run of a model that was trained on them."""
    folder = tmp_path_factory.mktemp("several")
    write_conversions(folder / "shop.csv", 4000)
    return folder


@pytest.fixture
def shop(run: Run, trained: Path, tmp_path: Path) -> Path:
    """The same in the test's own folder."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    if not (trained / "runs").exists():
        assert run(*TRAIN, "--run", trained / "runs" / "shop").status == 0
        shutil.copytree(trained / "runs", tmp_path / "runs", dirs_exist_ok=True)
    return tmp_path


def test_all_answers_are_learnt_and_each_has_its_figures(run: Run, shop: Path) -> None:
    metrics = Checkpoint(shop / "runs" / "shop").load()[1].metrics
    assert metrics is not None and metrics.others is not None
    conversion = metrics.others["conversion"]
    assert conversion.base_rate < metrics.base_rate / 2 and conversion.rows == metrics.rows == 400
    for of_answer in (metrics, conversion):
        assert of_answer.auc_interval is not None and of_answer.auc_interval[0] > 0.6
        assert of_answer.normalised_entropy is not None and of_answer.normalised_entropy < 0.95
    page = (shop / "runs" / "shop" / "report.html").read_text()
    for answer in ("click", "conversion"):
        assert f"{answer}: Against a constant and other models" in page and f"{answer}: After each epoch" in page
    assert "click, conversion given click" in page


def test_the_file_has_an_output_an_answer(run: Run, shop: Path) -> None:
    assert run("export", "runs/shop").status == 0
    path = shop / "artifacts" / "shop" / "1" / "model.onnx"
    graph, spec = onnx.load(path).graph, read_spec(path)
    assert [output.name for output in graph.output] == ["click", "conversion"] == list(spec.outputs)
    assert spec.golden is not None and (spec.golden.table[:, 1] <= spec.golden.table[:, 0]).all()
    said = run("inspect", path)
    assert "answers            click, conversion given click\n" in said.out
    assert "held out           click: AUC 0." in said.out and "held out           conversion: AUC 0." in said.out

    trained = load_trained(shop / "runs" / "shop").dlrm
    batch = random_batch(spec, 500)
    scores = onnx_scores(onnx_session(str(path)), batch)
    np.testing.assert_allclose(scores, score(trained, batch), atol=1e-5)
    assert (scores[:, 1] <= scores[:, 0]).all() and (scores[:, 1] < scores[:, 0]).any()


def test_files_are_evaluated_and_scored_answer_by_answer(run: Run, shop: Path) -> None:
    assert run("export", "runs/shop").status == 0
    path = "artifacts/shop/1/model.onnx"
    said = run("evaluate", path, "shop.csv", "--report", "page.html")
    assert [line.partition(":")[0] for line in said.out.splitlines()[:2]] == ["click", "conversion"]
    assert "conversion: Against a constant" in (shop / "page.html").read_text()
    (shop / "other.csv").write_text((shop / "shop.csv").read_text().replace("click,conversion", "c,b", 1))
    assert run("evaluate", path, "other.csv", "--label", "c,b").out.splitlines()[:2] == said.out.splitlines()[:2]
    refused(run("evaluate", path, "other.csv"), "no column 'click'")
    refused(run("evaluate", path, "shop.csv", "--label", "click"), "has answers click and conversion")

    assert run("score", path, "shop.csv", "--output", "scores.csv", "--key", "city").status == 0
    header, *rows = csv.reader((shop / "scores.csv").read_text().splitlines())
    assert header == ["city", "click", "conversion"] and len(rows) == 4000
    assert all(float(conversion) <= float(click) for _, click, conversion in rows)
    assert run("score", path, "shop.csv", "--output", "scores.parquet").status == 0
    assert pq.read_schema(shop / "scores.parquet").names == ["click", "conversion"]
    refused(run("score", path, "shop.csv", "--output", "s.csv", "--key", "click"), "two columns called 'click'")


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_what_a_precision_costs_is_said_of_each_answer(run: Run, shop: Path, precision: str) -> None:
    said = run("export", "runs/shop", "--precision", precision)
    assert said.status == 0, said.err
    costs = [line for line in said.out.splitlines() if " cost: " in line]
    assert ["cost: click: AUC" in costs[0], "cost: conversion: AUC" in costs[1]] == [True, True]
    spec = read_spec(shop / "artifacts" / "shop" / "1" / "model.onnx")
    assert spec.precision_cost is not None and spec.precision_cost.others is not None
    assert abs(spec.precision_cost.others["conversion"].log_loss) < 0.01
    assert 0 < spec.precision_cost.others["conversion"].logit_largest < 1


def test_a_run_resumes_and_goes_on(run: Run, shop: Path) -> None:
    before = Checkpoint(shop / "runs" / "shop").load()[2]["model"]
    write_conversions(shop / "next.csv", 1000, seed=5)
    assert run("train", "next.csv", "--from", "runs/shop").status == 0
    config, progress, state = Checkpoint(shop / "runs" / "shop-2").load()
    assert config.spec.heads == HEADS and progress.metrics is not None and progress.metrics.others is not None
    assert any(not torch.equal(before[name], tensor) for name, tensor in state["model"].items())
    other = ["train", "next.csv", "--from", "runs/shop", "--run", "other", "--label"]
    refused(run(*other, "click,conversion"), "--from has the answers of runs/shop, click, conversion given click;")
    refused(run(*other, "click"), "runs/shop has learnt 'click,conversion', so --from cannot go on with --label click")
    refused(run(*TRAIN[:2], "--label", "click,conversion", *TRAIN[4:]), "holds another run")


def test_rows_that_no_model_of_such_answers_allows_are_said_and_left_out(run: Run, shop: Path) -> None:
    lines = (shop / "shop.csv").read_text().splitlines()
    lines[1:4] = [f"0,1,{line.split(',', 2)[2]}" for line in lines[1:4]]
    (shop / "odd.csv").write_text("\n".join(lines) + "\n")
    said = run("train", "odd.csv", *LABEL, *COLUMNS, *SMALL, "--name", "odd")
    assert said.status == 0 and "3 bad rows were left out:\n" in said.out
    assert "odd.csv line 2: conversion: 1, and click, which it is given, is not\n" in said.out
    refused(run("train", "odd.csv", *LABEL, *COLUMNS, "--strict"), "odd.csv line 2: conversion: 1, and click")
    said = run("train", "odd.csv", "--label", "click,conversion", *COLUMNS, *SMALL, "--name", "free")
    assert said.status == 0 and "bad rows" not in said.out


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([*LABEL, "--platt"], "--platt scales the scores of one answer"),
        (
            ["--label", "click,conversion", "--negatives-kept", "0.5"],
            "--negatives-kept is the share of the rows without",
        ),
        (["--label", "click,bought"], "no column 'bought'"),
        (["--label", "click,click"], "heads must have different names"),
        (["--label", "click,city"], "the label 'city' is also a feature"),
        (["--label", "click,dense"], "a head cannot be called 'dense'"),
        (["--label", "conversion:click,click"], "name click before conversion"),
    ],
)
def test_options_that_do_not_go_with_several_answers(
    run: Run, trained: Path, tmp_path: Path, options: list[str], sentence: str
) -> None:
    shutil.copy(trained / "shop.csv", tmp_path)
    refused(run("train", "shop.csv", *COLUMNS, *options), sentence)


def test_a_teacher_and_a_tradeoff_are_for_one_answer(run: Run, shop: Path) -> None:
    assert run("export", "runs/shop").status == 0
    teacher = ["--teacher", "artifacts/shop/1/model.onnx"]
    refused(run("train", "shop.csv", *COLUMNS, *LABEL, *teacher), "--teacher teaches one answer")
    refused(run("train", "shop.csv", *COLUMNS, "--label", "click", *teacher), "has several answers, click, conversion")
    refused(run("tradeoff", "shop.csv", *COLUMNS, *LABEL), "tradeoff compares models of one answer")


def test_of_sampled_negatives_all_figures_are_those_of_the_full_log(run: Run, tmp_path: Path) -> None:
    """A conversion comes only with a click, and of these all are there: its scores need no other correction."""
    header, *lines = write_conversions(tmp_path / "full.csv", 6000).read_text().splitlines()
    random = np.random.default_rng(0)
    kept = [line for line in lines if line.startswith("1,") or random.random() < 0.25]
    (tmp_path / "kept.csv").write_text("\n".join([header, *kept]) + "\n")
    sampled = ["--negatives-kept", "0.25"]
    assert run("train", "kept.csv", *LABEL, *COLUMNS, *SMALL, "--name", "kept", *sampled).status == 0
    metrics = Checkpoint(tmp_path / "runs" / "kept").load()[1].metrics
    assert metrics is not None and metrics.others is not None
    full = [np.mean([line.split(",")[column] == "1" for line in lines]) for column in (0, 1)]
    for of_answer, rate in zip(metrics.by_head, full, strict=True):
        assert of_answer.base_rate == pytest.approx(rate, rel=0.25)
        assert of_answer.calibration == pytest.approx(1, abs=0.3)


def test_generated_clicks_have_conversions(run: Run) -> None:
    made = ["train", "--generate", "4000", "--preset", "feed", "--name", "feed"]
    said = run(*made, *LABEL, "--epochs", "1")
    assert said.status == 0, said.err
    assert "held out: conversion: AUC 0." in said.out and "best reachable" in said.out
    refused(run(*made, "--label", "clicked"), "--generate reads no files: leave out --label")


def test_generated_conversions_are_learnt(tmp_path: Path) -> None:
    """What is drawn is what a model of these answers can find, and the same however it is read."""
    source = GeneratedClicks(answering(preset("feed"), HEADS), 20_000, seed=1)
    clicks = next(source.read(0, 20_000, 20_000))
    assert clicks.truth is not None and clicks.labels.shape == clicks.truth.shape == (20_000, 2)
    assert (clicks.labels[:, 1] <= clicks.labels[:, 0]).all()
    assert 0.05 < clicks.labels[:, 1].sum() / clicks.labels[:, 0].sum() < 0.4
    expected = (1 / (1 + np.exp(-clicks.truth))).mean(axis=0)
    np.testing.assert_allclose(clicks.labels.mean(axis=0), expected, rtol=0.15)
    (again,) = source.read(5000, 5010, 100)
    assert again.labels.tolist() == clicks.labels[5000:5010].tolist()
    one = next(GeneratedClicks(preset("feed"), 20_000, seed=1).read(0, 20_000, 20_000))
    assert one.labels.tolist() == clicks.labels[:, 0].tolist()  # the click is what it is without a conversion


@pytest.mark.parametrize("form", FORMS)
def test_every_architecture_is_exported_and_proven(tmp_path: Path, form: str) -> None:
    heads = (*HEADS, Head(name="linear"), Head(name="sigmoid"))  # as the exporter calls nodes
    spec = answering(in_form(small_spec(), form), heads).model_copy(update={"precision": Precision(mlps="fp16")})
    model = recommender(spec).eval()
    onnx.save_model(build(spec, model), tmp_path / "model.onnx")
    assert prove(tmp_path / "model.onnx", spec, model, random_batch(spec, 8)).rows
    session = onnx_session(str(tmp_path / "model.onnx"))
    assert [output.name for output in session.get_outputs()] == list(spec.outputs)
    assert onnx_scores(session, random_batch(spec, 8)).shape == (8, 4)


def test_one_label_makes_the_model_that_it_always_made(run: Run, tmp_path: Path) -> None:
    write_csv(tmp_path / "one.csv", 400)
    assert run("train", "one.csv", "--label", "clicked", *COLUMNS, *SMALL, "--name", "one").status == 0
    assert run("export", "runs/one").status == 0
    path = tmp_path / "artifacts" / "one" / "1" / "model.onnx"
    model = onnx.load(path)
    assert [output.name for output in model.graph.output] == ["score"]
    assert '"heads"' not in model.metadata_props[0].value and '"others"' not in model.metadata_props[0].value
    assert read_spec(path).heads == ()
