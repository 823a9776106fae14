"""Files of all architectures: proven as they are written, and served, whatever their features and their precision."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from testing.artifacts import write_artifact
from testing.runtimes import run
from testing.samples import FORMS, in_form, random_batch, small_spec
from thimble.export.artifact.graph import ExportError, build
from thimble.export.artifact.precision import lower_mlps
from thimble.export.artifact.untrained import export_untrained
from thimble.export.scoring.evaluate import read_spec
from thimble.export.training.schema import preset_spec
from thimble.models.nn.registry import recommender
from thimble.models.spec import Precision
from thimble.service.engine.artifact import read_artifact
from thimble.service.engine.engine import Engine

MAX_BYTES = 64 << 20
OTHERS = [form for form in FORMS if form != "dlrm"]
FP16, INT8 = Precision(memory="fp16", mlps="fp16"), Precision(memory="int4", mlps="int8")
# Layers that are computed in integers.
INNER = {
    **{"dcnv2": 6, "dcnv2 parallel": 2, "dcnv2 with vectors of numbers": 1},
    **{"deepfm": 1, "deepfm with vectors of numbers": 1, "wide-deep": 1, "mlp": 1},
    **{"dlrm with bags": 2, "deepfm with bags": 1},
}


def served(path: Path) -> Engine:
    """The file as the server loads it, its golden rows scored."""
    return Engine(read_artifact(path, MAX_BYTES), "cpu", 1)


@pytest.mark.parametrize("form", ["dcnv2", "deepfm"])
def test_a_file_at_half_precision_is_proven_and_served(tmp_path: Path, form: str) -> None:
    spec = in_form(small_spec(), form)
    path = write_artifact(spec.model_copy(update={"precision": FP16}), tmp_path)
    scores = served(path).score(random_batch(spec, 50))
    assert scores.std() > 0 and ((scores >= 0) & (scores <= 1)).all()
    kinds = [node.op_type for node in onnx.load(path).graph.node]
    assert "MatMul" not in kinds  # what lowers layers knows them as Gemm


@pytest.mark.parametrize("form", OTHERS)
def test_inner_layers_run_in_integers_and_nothing_else_is_rounded(tmp_path: Path, form: str) -> None:
    spec = in_form(small_spec(precision="int4"), form).model_copy(update={"precision": INT8})
    path = write_artifact(spec, tmp_path)
    assert read_spec(path).architecture == spec.architecture
    onnx.checker.check_model(str(path))
    _, ran = run(path, [random_batch(spec, 2)._asdict()], None)
    assert [node.op for node in ran].count("QGemm") == INNER[form]
    assert not any(node.op == "DequantizeLinear" for node in ran)
    assert served(path).score(random_batch(spec, 50)).std() > 0


@pytest.mark.parametrize(("dense", "fields"), [(0, 7), (2, 0)])
@pytest.mark.parametrize("form", ["dcnv2", "dcnv2 parallel", "deepfm with vectors of numbers", "wide-deep", "mlp"])
def test_ids_alone_and_numbers_alone(tmp_path: Path, form: str, dense: int, fields: int) -> None:
    spec = in_form(small_spec(dense=dense, kinds=["int"] * fields), form)
    path = write_artifact(spec, tmp_path)
    graph = onnx.load(path).graph
    assert [tensor.name for tensor in graph.input] == [tensor.name for tensor in spec.graph_inputs]
    assert served(path).score(random_batch(spec, 9)).std() > 0


def test_in_integers_a_cross_layer_adds_what_was_not_rounded() -> None:
    """x_0 and x_l are multiplied and added as they are: rounded for the layers alone, they differ by far less."""
    spec = in_form(small_spec(), "dcnv2").model_copy(update={"precision": Precision(mlps="int8")})
    with torch.no_grad():
        model = lower_mlps(build(spec, recommender(spec).eval()), spec, [random_batch(spec, 64)])
    rounded = {node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    around = [node for node in model.graph.node if node.op_type in ("Mul", "Add")]
    assert len(around) > 3 and not any(rounded & {*node.input} for node in around)


@pytest.mark.parametrize("form", ["deepfm", "wide-deep", "mlp"])
def test_one_hidden_layer_has_nothing_for_int8(tmp_path: Path, form: str) -> None:
    spec = in_form(small_spec(), form)
    few = spec.architecture.model_copy(update={"over_arch": [8, 1]})
    spec = spec.model_copy(update={"architecture": few, "precision": Precision(mlps="int8")})
    with pytest.raises(ExportError, match="this model has none; use fp16"):
        write_artifact(spec, tmp_path)


@pytest.mark.parametrize("form", ["dcnv2", "deepfm with vectors of numbers", "wide-deep"])
def test_changed_weights_of_any_part_are_noticed(tmp_path: Path, form: str) -> None:
    path = write_artifact(in_form(small_spec(), form), tmp_path)
    whole = onnx.load(path)
    for i, tensor in enumerate(whole.graph.initializer):
        if tensor.name.startswith("dlrm.") and tensor.data_type == onnx.TensorProto.FLOAT:
            changed = onnx.ModelProto()
            changed.CopyFrom(whole)
            array = onnx.numpy_helper.to_array(tensor)
            changed.graph.initializer[i].CopyFrom(onnx.numpy_helper.from_array(array + np.float32(0.5), tensor.name))
            onnx.save_model(changed, tmp_path / "changed.onnx")
            with pytest.raises(ValueError, match="the weights are not those that were exported"):
                served(tmp_path / "changed.onnx")


def test_untrained_models_of_a_preset(tmp_path: Path) -> None:
    done = export_untrained(preset_spec("feed", None, "block", 4096, None, 0, "fp32", "dcnv2"), tmp_path)
    assert done.spec.architecture.kind == "dcnv2"
    assert max(done.agreement.torch_onnx, done.agreement.numpy_onnx) < 1e-6
