import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import xxhash
from onnx import TensorProto, helper, numpy_helper

from testing.artifacts import write_artifact
from testing.samples import SCHEMES, small_spec
from thimble.models.spec import METADATA_KEY
from thimble.service.engine.artifact import ArtifactError, read_artifact
from thimble.service.engine.engine import Engine
from thimble.service.errors import StartupError

MAX_BYTES = 64 << 20


def load(path: Path) -> Engine:
    return Engine(read_artifact(path, MAX_BYTES), "auto", 1)


def refusal(path: Path) -> str:
    with pytest.raises(ArtifactError) as caught:
        load(path)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message
    return message


@pytest.fixture
def changed(small_artifact: Path, tmp_path: Path) -> Callable[[Callable[[onnx.ModelProto], None]], Path]:
    """A copy of a good artifact with a change made to it."""

    def make(change: Callable[[onnx.ModelProto], None]) -> Path:
        model = onnx.load(small_artifact)
        change(model)
        path = tmp_path / "model.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    return make


Changed = Callable[[Callable[[onnx.ModelProto], None]], Path]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_loads_and_scores_its_golden_rows(scheme: str, tmp_path: Path) -> None:
    engine = load(write_artifact(small_spec(scheme), tmp_path))
    assert engine.provider == "CPUExecutionProvider"


@pytest.mark.parametrize("kept", [0, 1, 100, 5000, -1])
def test_truncated(small_artifact: Path, tmp_path: Path, kept: int) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(small_artifact.read_bytes()[:kept])
    assert "truncated, or not an ONNX file" in refusal(path)


def test_another_onnx_model(tmp_path: Path) -> None:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    onnx.save_model(helper.make_model(graph), tmp_path / "model.onnx")
    assert "not a Thimble artifact" in refusal(tmp_path / "model.onnx")


def test_no_onnx_at_all(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_text("# Thimble\n" * 100)
    assert "truncated, or not an ONNX file" in refusal(path)


def test_changed_weights(changed: Changed) -> None:
    def scale_last_layer(model: onnx.ModelProto) -> None:
        tensor = next(t for t in model.graph.initializer if t.name.endswith("over_arch.2.weight"))
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1.5), tensor.name))

    assert "the weights are not those that were exported" in refusal(changed(scale_last_layer))


def test_weights_of_nan(changed: Changed) -> None:
    def poison(model: onnx.ModelProto) -> None:
        tensor = next(t for t in model.graph.initializer if t.name.endswith("over_arch.2.bias"))
        tensor.CopyFrom(numpy_helper.from_array(np.full(1, np.nan, np.float32), tensor.name))

    assert "scores nan" in refusal(changed(poison))


def respec(model: onnx.ModelProto, **changes: object) -> None:
    spec = json.loads(model.metadata_props[0].value)
    helper.set_model_props(model, {METADATA_KEY: json.dumps({**spec, **changes})})


def test_a_newer_schema_version(changed: Changed) -> None:
    assert "schema_version 3" in refusal(changed(lambda model: respec(model, schema_version=3, invented_later=1)))


def test_a_key_that_is_not_known(changed: Changed) -> None:
    assert "separator is a key that this program does not know" in refusal(
        changed(lambda model: respec(model, separator="|"))
    )


def test_an_unknown_scheme(changed: Changed) -> None:
    assert "embedding" in refusal(changed(lambda model: respec(model, embedding={"scheme": "robe-v9"})))


def test_no_golden_rows(changed: Changed) -> None:
    assert "no golden rows" in refusal(changed(lambda model: respec(model, golden=None)))


def test_metadata_that_is_no_json(changed: Changed) -> None:
    assert "metadata" in refusal(changed(lambda model: helper.set_model_props(model, {METADATA_KEY: "{"})))


def test_a_spec_of_other_features_than_the_graph(changed: Changed) -> None:
    def drop_an_input_column(model: onnx.ModelProto) -> None:
        model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 2

    assert "inputs are dense FLOAT [batch, 2]" in refusal(changed(drop_an_input_column))


@pytest.mark.parametrize("location", ["../outside.bin", "/etc/passwd", "sub/../../outside.bin", "link.bin", ""])
def test_external_data_outside_the_folder(changed: Changed, tmp_path: Path, location: str) -> None:
    outside = tmp_path.parent / "outside.bin"
    outside.write_bytes(b"\0" * 4096)
    (tmp_path / "link.bin").symlink_to(outside)

    def point(model: onnx.ModelProto) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", location

    assert "outside the file's folder" in refusal(changed(point))


def test_external_data_hidden_in_a_nested_graph(changed: Changed) -> None:
    def hide(model: onnx.ModelProto) -> None:
        tensor = TensorProto(name="t", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", "/etc/passwd"
        inner = helper.make_graph([helper.make_node("Constant", [], ["c"], value=tensor)], "inner", [], [])
        model.graph.node.append(helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner))

    assert "'/etc/passwd'" in refusal(changed(hide))


def test_external_data_cut_short_or_missing(full: Path) -> None:
    weights = full.with_name("model.weights")
    os.truncate(weights, weights.stat().st_size - 1)
    assert "is truncated: 'model.weights'" in refusal(full)
    weights.unlink()
    assert "is missing: 'model.weights'" in refusal(full)


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """A model with full tables, whose weights lie in a file of their own."""
    return write_artifact(small_spec("full"), tmp_path)


def flip_a_bit(weights: bytes) -> bytes:
    return bytes([weights[0] ^ 1]) + weights[1:]


def reverse(weights: bytes) -> bytes:
    return weights[::-1]


@pytest.mark.parametrize("change", [flip_a_bit, reverse])
def test_external_data_that_was_not_exported(full: Path, change: Callable[[bytes], bytes]) -> None:
    weights = full.with_name("model.weights")
    weights.write_bytes(change(weights.read_bytes()))
    assert refusal(full) == f"{full}: external data 'model.weights' is not what was exported"


def test_external_data_that_is_too_long(full: Path) -> None:
    weights = full.with_name("model.weights")
    size = weights.stat().st_size
    weights.write_bytes(weights.read_bytes() + b"\0")
    assert f"has {size + 1} bytes, not the {size} that were exported" in refusal(full)


def test_external_data_of_another_version(full: Path, tmp_path: Path) -> None:
    other = write_artifact(small_spec("full"), tmp_path, seed=1).with_name("model.weights")
    assert other.stat().st_size == full.with_name("model.weights").stat().st_size
    other.replace(full.with_name("model.weights"))
    assert "external data 'model.weights' is not what was exported" in refusal(full)


def test_two_files_of_external_data_that_were_swapped(full: Path) -> None:
    """Tables of the same size, of which each lies in a file of its own."""
    model = onnx.load(full)
    described = {}
    tables = [tensor for tensor in model.graph.initializer if "tables" in tensor.name]
    for number, table in enumerate(tables):
        content = numpy_helper.to_array(table).tobytes()
        path = full.with_name(f"{number}.weights")
        path.write_bytes(content)
        described[path.name] = {"bytes": len(content), "xxh3_128": xxhash.xxh3_128_hexdigest(content)}
        table.ClearField("raw_data")
        table.data_location = TensorProto.EXTERNAL
        del table.external_data[:]
        table.external_data.add(key="location", value=path.name)
        table.external_data.add(key="length", value=str(len(content)))
    respec(model, external_data=described)
    full.write_bytes(model.SerializeToString())
    load(full)
    first, second, between = (full.with_name(f"{name}.weights") for name in ("0", "1", "between"))
    first.rename(between)
    second.rename(first)
    between.rename(second)
    assert "external data '0.weights' is not what was exported" in refusal(full)


def test_external_data_that_nothing_proves(full: Path) -> None:
    model = onnx.load(full, load_external_data=False)
    respec(model, external_data=None)
    full.write_bytes(model.SerializeToString())
    assert "nothing in it proves its external data 'model.weights'; export it again" in refusal(full)


def link_to_itself(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize("kind", [os.mkfifo, os.mkdir, link_to_itself])
def test_external_data_that_is_no_file(full: Path, kind: Callable[[Path], None]) -> None:
    weights = full.with_name("model.weights")
    weights.unlink()
    kind(weights)
    assert "is missing: 'model.weights'" in refusal(full)


def test_external_data_that_a_link_fetches_from_elsewhere(full: Path, tmp_path: Path) -> None:
    weights = full.with_name("model.weights")
    weights.rename(tmp_path / "elsewhere")
    weights.symlink_to(tmp_path / "elsewhere")
    assert "lies outside the file's folder: 'model.weights'" in refusal(full)


def test_external_data_that_changes_between_the_proof_and_the_session(full: Path) -> None:
    artifact = read_artifact(full, MAX_BYTES)
    weights = full.with_name("model.weights")
    other = full.with_name("other")
    other.write_bytes(reverse(weights.read_bytes()))
    other.replace(weights)
    with pytest.raises(ArtifactError, match=r"external data 'model\.weights' changed while it was being loaded"):
        Engine(artifact, "auto", 1)


def test_an_operator_of_a_foreign_domain(changed: Changed) -> None:
    def add(model: onnx.ModelProto) -> None:
        model.opset_import.add(domain="com.evil", version=1)
        model.graph.node.append(helper.make_node("Run", [], ["z"], domain="com.evil"))

    assert "com.evil::Run" in refusal(changed(add))


def test_an_operator_of_a_foreign_domain_inside_our_own(changed: Changed) -> None:
    def add(model: onnx.ModelProto) -> None:
        model.functions[0].node.append(helper.make_node("Run", [], ["z"], domain="com.evil"))

    assert "com.evil::Run inside HashLookup" in refusal(changed(add))


def test_another_function_under_our_domain(changed: Changed) -> None:
    def add(model: onnx.ModelProto) -> None:
        function = helper.make_function("thimble", "Other", ["x"], ["y"], [helper.make_node("Relu", ["x"], ["y"])], [])
        model.functions.append(function)

    assert "functions of its own" in refusal(changed(add))


def test_our_operator_without_its_body(changed: Changed) -> None:
    def strip(model: onnx.ModelProto) -> None:
        del model.functions[:]

    assert "thimble::HashLookup" in refusal(changed(strip))


def test_an_opset_from_the_future(changed: Changed) -> None:
    def raise_opset(model: onnx.ModelProto) -> None:
        model.opset_import[0].version = 999

    assert "opset 999" in refusal(changed(raise_opset))


def test_a_five_gigabyte_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with path.open("wb") as file:
        file.truncate(5_000_000_000)
    assert "5000000000 bytes are more than the limit" in refusal(path)


def test_no_such_file(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "model.onnx")


def test_a_graph_that_onnx_runtime_cannot_run(changed: Changed) -> None:
    def misspell(model: onnx.ModelProto) -> None:
        model.graph.node[0].op_type = "Whre"

    assert "ONNX Runtime refuses it" in refusal(changed(misspell))


def test_cuda_is_not_pretended(small_artifact: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this machine may have a GPU")
    with pytest.raises(StartupError, match="no GPU"):
        Engine(read_artifact(small_artifact, MAX_BYTES), "cuda", 1)
