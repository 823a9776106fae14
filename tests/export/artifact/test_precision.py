import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import torch

from testing.artifacts import random_features, write_artifact
from testing.runtimes import run
from testing.samples import SCHEMES, criteo_spec, random_batch, small_spec
from thimble.export.artifact.agreement import onnx_scores, onnx_session, prove
from thimble.export.artifact.graph import ExportError, with_memory
from thimble.export.artifact.pipeline import export as export_run
from thimble.export.artifact.pipeline import publish
from thimble.export.clicks.generate import GeneratedClicks
from thimble.export.clicks.golden import golden_batch
from thimble.export.clicks.rows import ClickError, Parts, Rows
from thimble.export.scoring.evaluate import artifact_bytes, read_spec
from thimble.export.training.checkpoint import Checkpoint, load_trained
from thimble.export.training.errors import RunError
from thimble.export.training.evaluation import score
from thimble.export.training.recipe import Recipe
from thimble.export.training.train import train
from thimble.models.architectures.dlrm import DlrmArchitecture
from thimble.models.features import Batch
from thimble.models.hashing import Floats
from thimble.models.nn.registry import recommender
from thimble.models.nn.shared_memory import SharedMemory
from thimble.models.quantization import MemoryPrecision
from thimble.models.spec import ModelSpec, Precision
from thimble.models.transforms.scaled import ScaledTransform
from thimble.service.engine.artifact import ArtifactError, read_artifact
from thimble.service.engine.engine import Engine

FP16 = Precision(memory="fp16", mlps="fp16")
INT8 = Precision(memory="fp16", mlps="int8")
REDUCED = [
    Precision(memory="fp16"),
    Precision(mlps="fp16"),
    Precision(mlps="int8"),
    FP16,
    INT8,
]
INT4 = Precision(memory="int4", mlps="int8")
CASES = [
    *(("block", precision) for precision in [*REDUCED, Precision(memory="int8"), INT4]),
    ("full", FP16),
    *((scheme, INT8) for scheme in SCHEMES[1:]),
]
MAX_BYTES = 64 << 20


def served(path: Path) -> Engine:
    """The file as the server loads it, its golden rows scored."""
    return Engine(read_artifact(path, MAX_BYTES), "cpu", 1)


def with_widths(spec: ModelSpec, dense_arch: list[int], over_arch: list[int]) -> ModelSpec:
    return spec.model_copy(update={"architecture": DlrmArchitecture(dense_arch=dense_arch, over_arch=over_arch)})


def inner_weights(model: onnx.ModelProto) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.int8]]]:
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    return {name: array for name, array in arrays.items() if array.dtype == np.int8 and array.ndim == 2}


@pytest.mark.parametrize(("scheme", "precision"), CASES, ids=str)
def test_every_precision_of_every_scheme_is_exported_and_served(
    runs: dict[str, Path], tmp_path: Path, scheme: str, precision: Precision
) -> None:
    exported = export_run(load_trained(runs[scheme]), tmp_path, precision=precision)
    spec = read_spec(exported.path)
    assert spec == exported.spec and spec.precision == precision
    assert spec.precision_cost is not None and spec.precision_cost.rows == 50
    assert 0 < spec.precision_cost.logit_mean <= spec.precision_cost.logit_largest < 0.5
    onnx.checker.check_model(str(exported.path))
    model = onnx.load(exported.path, load_external_data=False)
    assert {node.domain for node in model.graph.node} <= {"", "thimble"}
    assert {entry.domain for entry in model.opset_import} <= {"", "thimble"}
    assert [prop.key for prop in model.metadata_props] == ["thimble"] and not model.graph.value_info
    engine = served(exported.path)
    batch = random_batch(spec, 200, seed=3)
    trained = load_trained(runs[scheme])
    assert np.abs(engine.score(batch) - score(trained.dlrm, batch)).max() < (0.05 if precision.mlps == "int8" else 2e-3)
    whole = trained.spec.embedding_bytes // 4
    stored = {"fp32": 4 * whole, "fp16": 2 * whole, "int8": whole + 4, "int4": whole // 2 + 4}
    assert spec.model_dump()["embedding_bytes"] == stored[precision.memory]


@pytest.mark.parametrize("precision", [FP16, INT8], ids=str)
def test_weights_weigh_what_their_precision_says(tmp_path: Path, precision: Precision) -> None:
    spec = with_widths(criteo_spec(memory=20_000), [16, 8], [256, 256, 1])
    mlp = 13 * 16 + 16 * 8 + (8 + 27 * 13) * 256 + 256 * 256 + 256
    weight = {"fp16": 2, "int8": 1}[precision.mlps]
    path = write_artifact(spec.model_copy(update={"precision": precision}), tmp_path)
    rest = artifact_bytes(path) - 2 * 20_000 - weight * mlp
    assert 0 < rest < 45_000


@pytest.mark.parametrize("precision", [FP16, INT8], ids=str)
def test_changed_weights_are_refused(tmp_path: Path, precision: Precision) -> None:
    path = write_artifact(small_spec().model_copy(update={"precision": precision}), tmp_path)
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if ".over_arch.2.weight" in tensor.name:
            array = onnx.numpy_helper.to_array(tensor)
            tensor.CopyFrom(onnx.numpy_helper.from_array((array * 1.5).astype(array.dtype), tensor.name))
    onnx.save_model(model, path)
    with pytest.raises(ArtifactError, match="the weights are not those that were exported"):
        served(path)


@pytest.mark.parametrize(("precision", "dtype"), [("fp16", np.float16), ("int8", np.uint8), ("int4", np.uint8)])
def test_one_bit_of_a_rounded_memory_is_noticed_by_the_exporter(
    runs: dict[str, Path], tmp_path: Path, precision: MemoryPrecision, dtype: npt.DTypeLike
) -> None:
    exported = export_run(load_trained(runs["block"]), tmp_path, precision=Precision(memory=precision))
    model = onnx.load(exported.path)
    (memory,) = (tensor for tensor in model.graph.initializer if tensor.name.endswith("memory"))
    assert memory.data_type == onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    memory.raw_data = bytes(byte ^ (i % 2 == 0) for i, byte in enumerate(memory.raw_data))
    onnx.save_model(model, exported.path)
    spec = exported.spec
    assert spec.golden is not None
    with pytest.raises(ExportError, match="the lookups of torch, ONNX Runtime and numpy differ"):
        prove(exported.path, spec, load_trained(runs["block"]).dlrm, golden_batch(spec, spec.golden.features))


@pytest.fixture(scope="module")
def clicked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that learnt something, on generated clicks."""
    folder = tmp_path_factory.mktemp("clicked") / "run"
    spec = with_widths(criteo_spec(memory=16_384), [16, 8], [64, 32, 1])
    source = GeneratedClicks(spec, 30_000, 0)
    recipe = Recipe(batch_size=256, seed=2)  # with so few rows a draw of the weights can be one that int8 costs more
    metrics = train(spec, Parts(Rows(source, 0, 20_000), Rows(source, 20_000, 30_000)), recipe, folder)
    assert metrics.auc is not None and metrics.auc > 0.6
    return folder


@pytest.mark.parametrize(
    ("precision", "auc", "logit"),
    [(FP16, 2e-5, 1e-3), (INT8, 1e-3, 0.05), (Precision(memory="int8"), 1e-4, 0.01), (INT4, 5e-3, 0.2)],
    ids=str,
)
def test_what_precision_costs_is_bounded_and_said_truly(
    clicked: Path, tmp_path: Path, precision: Precision, auc: float, logit: float
) -> None:
    exported = export_run(load_trained(clicked), tmp_path, precision=precision)
    cost = exported.spec.precision_cost
    assert cost is not None and cost.auc is not None and cost.rows == 10_000
    assert abs(cost.auc) < auc and abs(cost.log_loss) < auc and cost.logit_mean < logit
    (rows,) = GeneratedClicks(exported.spec, 30_000, 0).read(20_000, 30_000, 10_000)
    found = onnx_scores(onnx_session(str(exported.path)), rows.batch)
    change = np.abs(logits(found) - logits(score(load_trained(clicked).dlrm, rows.batch)))
    assert change.mean() == pytest.approx(cost.logit_mean, rel=0.01)
    assert change.max() == pytest.approx(cost.logit_largest, rel=0.05)


def logits(scores: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    p = scores.astype(np.float64)
    return np.asarray(np.log(p / (1 - p)))


@pytest.fixture(scope="module")
def int8(clicked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_run(load_trained(clicked), tmp_path_factory.mktemp("int8"), precision=INT8, cost_rows=15_000).path


def test_generated_held_out_rows_may_be_more_than_the_runs(int8: Path) -> None:
    cost = read_spec(int8).precision_cost
    assert cost is not None and cost.rows == 15_000


def test_a_row_scores_the_same_whatever_is_beside_it(int8: Path) -> None:
    engine = served(int8)
    batch = random_batch(engine.spec, 64)
    alone = np.concatenate([engine.score(batch.part(i, i + 1)) for i in range(64)])
    beside = Batch(
        np.concatenate([batch.dense, np.full((8, 13), 3e38, np.float32)]), batch.ids[[*range(64), *range(8)]]
    )
    np.testing.assert_allclose(engine.score(beside)[:64], alone, rtol=0, atol=INT8.golden_tolerance)


@pytest.mark.parametrize("value", [np.nan, 3.4e38, -3.4e38, 0.0])
def test_extreme_numbers_score(int8: Path, value: float) -> None:
    engine = served(int8)
    scores = engine.score(Batch(np.full((3, 13), value, np.float32), np.zeros((3, 26), np.int64)))
    assert ((scores >= 0) & (scores <= 1)).all()


@pytest.mark.parametrize("precision", [Precision(), FP16, INT8], ids=str)
def test_numbers_scaled_by_constants_are_exported_and_served(tmp_path: Path, precision: Precision) -> None:
    """What a file is proven with has the sizes of its columns: far from them, float32 sums differ by their order."""
    transform = ScaledTransform.standardised([0.02] * 13, [0.01] * 13)
    plain = with_widths(criteo_spec(dim=16), [256, 64, 16], [256, 64, 1])
    spec = ModelSpec.model_validate(dict(plain) | {"dense_transform": transform, "precision": precision})
    random = np.random.default_rng(0)
    torch.manual_seed(0)
    golden = random_features(spec, 256)
    for name in spec.dense:
        golden[name] = [*random.normal(0.02, 0.01, 255).tolist(), None]
    rows = golden_batch(spec, golden)
    published = publish(spec, recommender(spec).eval(), golden, tmp_path, calibration=[rows])
    if precision == Precision():
        assert max(published.agreement[1:]) < 1e-6
    extremes = Batch(np.full((3, 13), [[np.nan], [3.4e38], [-3.4e38]], np.float32), rows.ids[:3])
    assert np.isfinite(served(published.path).score(extremes)).all()


def test_integer_kernels_compute_what_float_ones_do(int8: Path) -> None:
    """Unfused, ONNX Runtime dequantizes and multiplies in float: the same sums where no product saturates."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    plain = onnxruntime.InferenceSession(str(int8), options, providers=["CPUExecutionProvider"])
    batch = random_batch(read_spec(int8), 1000)
    fused = onnx_scores(onnx_session(str(int8)), batch)
    np.testing.assert_allclose(fused, onnx_scores(plain, batch), rtol=0, atol=INT8.golden_tolerance)
    weights = inner_weights(onnx.load(int8))
    assert len(weights) == 3
    assert all(np.abs(array.astype(int)).max() <= 64 for array in weights.values())


def test_inner_layers_run_in_integers(int8: Path) -> None:
    _, ran = run(int8, [random_batch(read_spec(int8), 2)._asdict()], None)
    assert sorted(node.op for node in ran if "Gemm" in node.op) == ["Gemm", "Gemm", "QGemm", "QGemm", "QGemm"]
    assert not any(node.op == "DequantizeLinear" for node in ran)


def test_clicks_that_are_gone(runs: dict[str, Path], tmp_path: Path) -> None:
    run = shutil.copytree(runs["block"], tmp_path / "run")
    config, progress, state = Checkpoint(run).load()
    assert progress.held_out is not None and progress.held_out.files[0].is_absolute()
    gone = progress.held_out.model_copy(update={"files": (tmp_path / "gone.csv",)})
    Checkpoint(run).save(config, progress.model_copy(update={"held_out": gone}), state)
    with pytest.raises(ClickError, match=r"gone\.csv, which the run was trained or evaluated on, is no longer there"):
        export_run(load_trained(run), tmp_path / "repository", precision=FP16)
    assert export_run(load_trained(run), tmp_path / "repository").spec.precision_cost is None
    Checkpoint(run).save(config, progress.model_copy(update={"held_out": None}), state)
    with pytest.raises(RunError, match="cannot be read again"):
        export_run(load_trained(run), tmp_path / "repository", precision=FP16)


def with_weight(name: str, value: float) -> Callable[[Path], Path]:
    def change(run: Path) -> Path:
        config, progress, state = Checkpoint(run).load()
        state["model"] = {key: tensor.clone() for key, tensor in state["model"].items()}
        state["model"][name].view(-1)[0] = value
        Checkpoint(run).save(config, progress, state)
        return run

    return change


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("sparse_arch.memory", "an embedding weight is too large for fp16"),
        ("over_arch.0.weight", r"over_arch\.0\.weight is too large for fp16"),
    ],
)
def test_weights_beyond_fp16(runs: dict[str, Path], tmp_path: Path, name: str, sentence: str) -> None:
    run = with_weight(name, 1e5)(shutil.copytree(runs["block"], tmp_path / "run"))
    with pytest.raises(ExportError, match=sentence):
        export_run(load_trained(run), tmp_path / "repository", precision=FP16)
    assert not (tmp_path / "repository").exists()


@pytest.mark.parametrize(("logarithm", "step"), [(1000, "inf"), (-1000, "0.0"), (np.nan, "nan")])
def test_a_learnt_step_that_is_none(logarithm: float, step: str) -> None:
    model = recommender(small_spec(precision="int4"))
    assert isinstance(model.sparse_arch, SharedMemory) and model.sparse_arch.quantizer
    model.sparse_arch.quantizer.log_step.data.fill_(logarithm)
    with pytest.raises(ExportError, match=f"the embeddings' step is {step}, and a step is a finite number above 0"):
        with_memory(model, "int4")


@pytest.mark.parametrize("spec", [with_widths(small_spec(), [20], [1]), small_spec(dense=0)], ids=["both", "ids alone"])
def test_a_model_without_inner_layers_is_not_for_int8(tmp_path: Path, spec: ModelSpec) -> None:
    spec = spec.model_copy(update={"precision": INT8})
    with pytest.raises(ExportError, match="this model has none; use fp16"):
        write_artifact(spec, tmp_path)


def test_the_quantizer_says_nothing(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    spec = with_widths(small_spec(), [20], [12, 1]).model_copy(update={"precision": INT8})
    served(write_artifact(spec, tmp_path))
    said = capfd.readouterr()
    assert said.out == said.err == ""
