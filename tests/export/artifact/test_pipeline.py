import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from pydantic import ValidationError

import thimble.export.artifact.pipeline
from testing.artifacts import write_artifact
from testing.samples import SCHEMES, SHARED, criteo_spec, random_batch, small_spec
from thimble.export.artifact.agreement import TOLERANCE, numpy_scores, onnx_scores, onnx_session, prove
from thimble.export.artifact.graph import EXTERNAL_DATA, IR_VERSION, ExportError, build
from thimble.export.artifact.pipeline import Exported
from thimble.export.artifact.pipeline import export as export_run
from thimble.export.artifact.untrained import export_untrained
from thimble.export.clicks.golden import GOLDEN_ROWS, golden_batch
from thimble.export.scoring.evaluate import artifact_bytes, read_spec
from thimble.export.training.checkpoint import load_trained
from thimble.export.training.errors import RunError
from thimble.export.training.evaluation import score
from thimble.models.features import Batch
from thimble.models.nn.recommender import Recommender
from thimble.models.spec import ModelSpec


@pytest.fixture(scope="session")
def exported(runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Exported]:
    repository = tmp_path_factory.mktemp("repository")
    return {scheme: export_run(load_trained(runs[scheme]), repository, name=scheme) for scheme in SCHEMES}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_file_is_a_well_formed_model(exported: dict[str, Exported], scheme: str) -> None:
    path = exported[scheme].path
    assert path.parts[-3:] == (scheme, "1", "model.onnx")
    onnx.checker.check_model(str(path))
    model = onnx.load(path, load_external_data=False)
    assert model.ir_version == IR_VERSION == 10
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    assert opsets.pop("") <= 18
    assert set(opsets) <= {"thimble"}
    used = {(node.domain, node.op_type) for node in model.graph.node}
    assert {op for domain, op in used if domain == "thimble"} == ({"HashLookup"} if scheme != "full" else set())
    assert {domain for domain, _ in used} <= {"", "thimble"}
    functions = [(function.domain, function.name) for function in model.functions]
    assert functions == ([("thimble", "HashLookup")] if scheme != "full" else [])
    assert all(node.domain == "" for function in model.functions for node in function.node)
    assert (model.producer_name, model.producer_version) == ("thimble", "0.1.0")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_inputs_and_outputs(exported: dict[str, Exported], scheme: str) -> None:
    session = onnx_session(str(exported[scheme].path))
    inputs = {i.name: (i.type, len(i.shape), i.shape[1]) for i in session.get_inputs()}
    assert inputs == {"dense": ("tensor(float)", 2, 3), "ids": ("tensor(int64)", 2, 7)}
    assert [(o.name, o.type, len(o.shape)) for o in session.get_outputs()] == [("score", "tensor(float)", 1)]
    assert all(isinstance(i.shape[0], str) for i in [*session.get_inputs(), *session.get_outputs()])
    for rows in (1, 2, 33):
        assert onnx_scores(session, random_batch(exported[scheme].spec, rows)).shape == (rows,)


def test_a_number_that_is_missing_or_negative_counts_as_zero(exported: dict[str, Exported]) -> None:
    session = onnx_session(str(exported["block"].path))
    batch = random_batch(exported["block"].spec, 1)
    zero, one = (onnx_scores(session, Batch(np.full_like(batch.dense, x), batch.ids)) for x in (0, 1))
    assert zero != one
    for x in (np.nan, -np.nan, -0.0, -1e-30, -5, -np.inf):
        assert onnx_scores(session, Batch(np.full_like(batch.dense, x), batch.ids)) == zero


@pytest.mark.parametrize("scheme", SCHEMES)
def test_nothing_of_the_machine_is_in_the_file(exported: dict[str, Exported], scheme: str) -> None:
    content = exported[scheme].path.read_bytes()
    for trace in (
        str(Path(__file__).parents[3]),
        "site-packages",
        "Traceback",
        ".py",
        "/tmp",
        "stack_trace",
        "pkg.torch",
    ):
        assert trace.encode() not in content, trace


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_metadata_is_the_spec_with_golden_rows(exported: dict[str, Exported], scheme: str) -> None:
    path = exported[scheme].path
    model = onnx.load(path, load_external_data=False)
    assert [prop.key for prop in model.metadata_props] == ["thimble"]
    spec = ModelSpec.model_validate_json(model.metadata_props[0].value)
    assert spec == exported[scheme].spec == read_spec(path)
    assert spec.name == scheme
    assert spec.provenance is not None and spec.provenance.rows_trained == 250
    assert spec.metrics is not None and spec.metrics.rows == 50
    assert spec.golden is not None
    assert list(spec.golden.features) == spec.feature_names
    assert all(len(values) == GOLDEN_ROWS == 33 for values in spec.golden.features.values())
    assert all(values[-1] is None for values in spec.golden.features.values())
    assert spec.golden.features["f0"][0] == "é1"  # text as it was, not its hash
    assert spec.golden.features["d2"][0] == -251
    batch = golden_batch(spec, spec.golden.features)
    assert np.isnan(batch.dense[-1]).all() and not batch.ids[-1].any()
    again = onnx_scores(onnx_session(str(path)), batch)
    np.testing.assert_allclose(again, spec.golden.table, rtol=0, atol=1e-6)
    assert len(np.unique(again)) > 10


@pytest.mark.parametrize("scheme", SCHEMES)
def test_onnx_torch_and_numpy_agree(exported: dict[str, Exported], runs: dict[str, Path], scheme: str) -> None:
    trained = load_trained(runs[scheme])
    batch = random_batch(trained.spec, 500, seed=8)
    batch.dense[0] = 3e38
    batch.ids[1] = (1 << 60) - 1
    by_onnx = onnx_scores(onnx_session(str(exported[scheme].path)), batch)
    weights = {name: tensor.numpy() for name, tensor in trained.dlrm.state_dict().items()}
    np.testing.assert_allclose(by_onnx, score(trained.dlrm, batch), rtol=0, atol=1e-5)
    np.testing.assert_allclose(by_onnx, numpy_scores(trained.spec, weights, batch), rtol=0, atol=1e-5)
    agreement = exported[scheme].agreement
    assert agreement.rows == 2 * GOLDEN_ROWS
    assert max(agreement.torch_onnx, agreement.numpy_onnx) <= TOLERANCE["fp32"]


def test_full_tables_are_beside_the_file(exported: dict[str, Exported], tmp_path: Path) -> None:
    path = exported["full"].path
    assert sorted(p.name for p in path.parent.iterdir()) == ["model.onnx", EXTERNAL_DATA]
    assert {p.stat().st_mode & 0o777 for p in path.parent.iterdir()} == {0o644}  # for whoever serves it
    tables = int(exported["full"].spec.model_dump()["embedding_bytes"])
    assert path.stat().st_size < 40_000 < tables < artifact_bytes(path)
    moved = shutil.copytree(path.parent, tmp_path / "moved") / "model.onnx"
    batch = random_batch(exported["full"].spec, 3)
    assert (onnx_scores(onnx_session(str(moved)), batch) == onnx_scores(onnx_session(str(path)), batch)).all()


@pytest.mark.parametrize("scheme", SHARED)
def test_a_compressed_model_is_one_file(exported: dict[str, Exported], scheme: str) -> None:
    assert [p.name for p in exported[scheme].path.parent.iterdir()] == ["model.onnx"]


def changed_memory(path: Path, to: Path) -> Path:
    model = onnx.load(path)
    (memory,) = (tensor for tensor in model.graph.initializer if tensor.name.endswith("memory"))
    array = onnx.numpy_helper.to_array(memory).copy()
    array += 1e-6
    memory.CopyFrom(onnx.numpy_helper.from_array(array, memory.name))
    onnx.save_model(model, to)
    return to


def golden(spec: ModelSpec) -> Batch:
    assert spec.golden is not None
    return golden_batch(spec, spec.golden.features)


@pytest.mark.parametrize("scheme", SHARED)
def test_a_file_whose_memory_was_changed_is_refused(
    exported: dict[str, Exported], runs: dict[str, Path], tmp_path: Path, scheme: str
) -> None:
    spec, path = exported[scheme].spec, exported[scheme].path
    dlrm = load_trained(runs[scheme]).dlrm
    assert prove(path, spec, dlrm, golden(spec)) == exported[scheme].agreement
    with pytest.raises(ExportError, match="the lookups of torch, ONNX Runtime and numpy differ"):
        prove(changed_memory(path, tmp_path / "model.onnx"), spec, dlrm, golden(spec))


def test_a_file_whose_scores_are_off_is_refused(exported: dict[str, Exported], runs: dict[str, Path]) -> None:
    spec, path = exported["full"].spec, exported["full"].path
    dlrm = load_trained(runs["full"]).dlrm
    with torch.no_grad():
        next(iter(dlrm.parameter_groups().dense)).add_(0.01)
    with pytest.raises(ExportError, match="scores of torch, ONNX Runtime and numpy differ"):
        prove(path, spec, dlrm, golden(spec))


def test_versions(runs: dict[str, Path], tmp_path: Path) -> None:
    def version(number: int | None = None) -> str:
        return export_run(load_trained(runs["block"]), tmp_path, "m", number).path.parent.name

    assert [version(), version(), version(7), version()] == ["1", "2", "7", "8"]
    before = (tmp_path / "m" / "7" / "model.onnx").read_bytes()
    with pytest.raises(ExportError, match=r"/m/7 exists; a version is never overwritten"):
        version(7)
    assert (tmp_path / "m" / "7" / "model.onnx").read_bytes() == before
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == ["1", "2", "7", "8"]


def test_a_failing_check_leaves_nothing(runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(spec: ModelSpec, dlrm: Recommender, _: object) -> onnx.ModelProto:
        model = build(spec, dlrm)
        (memory,) = (tensor for tensor in model.graph.initializer if tensor.name.endswith("memory"))
        memory.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(memory) * 2, memory.name))
        return model

    monkeypatch.setattr(thimble.export.artifact.pipeline, "build", damaged)
    with pytest.raises(ExportError, match="differ"):
        export_run(load_trained(runs["block"]), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("way", ["trained", "untrained", "test model"])
def test_every_model_is_proven_before_it_is_there(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    def refuse(path: Path, *_: object) -> None:
        assert path.is_file() and read_spec(path).golden
        raise ExportError("the proof failed")

    monkeypatch.setattr(thimble.export.artifact.pipeline, "prove", refuse)
    ways: dict[str, Callable[[], object]] = {
        "trained": lambda: export_run(load_trained(runs["block"]), tmp_path),
        "untrained": lambda: export_untrained(criteo_spec("full"), tmp_path),
        "test model": lambda: write_artifact(small_spec(), tmp_path),
    }
    with pytest.raises(ExportError, match="the proof failed"):
        ways[way]()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../evil", "a/b", ".hidden", "two words"])
def test_a_bad_name_is_refused(runs: dict[str, Path], tmp_path: Path, name: str) -> None:
    with pytest.raises(ValidationError, match="name"):
        export_run(load_trained(runs["block"]), tmp_path / "repository", name)
    assert list(tmp_path.iterdir()) == []


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no training run here"):
        export_run(load_trained(tmp_path), tmp_path / "repository")
    assert list(tmp_path.iterdir()) == []
