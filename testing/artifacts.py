"""Artifacts of untrained models, made without a training run."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from thimble.export.artifact.pipeline import publish
from thimble.export.clicks.golden import golden_batch
from thimble.models.hot_rows import Keys
from thimble.models.nn.registry import recommender
from thimble.models.spec import GoldenFeatures, ModelSpec


def random_features(spec: ModelSpec, rows: int, seed: int = 0) -> GoldenFeatures:
    """Feature columns as a client would send them, some values missing."""
    random = np.random.default_rng(seed)
    features: GoldenFeatures = {name: random.integers(0, 500, rows).tolist() for name in spec.dense}
    for field in spec.fields:
        ids = random.integers(0, 1 << 32, rows).tolist()
        values = [i if field.kind == "int" else f"{i:08x}" if field.kind == "hex" else f"Größe {i}" for i in ids]
        features[field.name] = [*values]
        if field.bag:  # with as many values as there is room for, with fewer, with none
            features[field.name] = [values[i : i + random.integers(field.bag.values + 1)] for i in range(rows)]
    for column in features.values():
        column[int(random.integers(rows))] = None
    return features


def write_artifact(
    spec: ModelSpec,
    repository: Path,
    name: str | None = None,
    version: int | None = None,
    seed: int = 0,
    hot: Keys | None = None,
) -> Path:
    """An untrained model whose scores differ from row to row, with eight golden rows.

    `hot` are the keys of its hot rows; without them they are nobody's.
    """
    torch.manual_seed(seed)
    dlrm = recommender(spec).eval()
    with torch.no_grad():
        for parameter in dlrm.parameter_groups().sparse:
            parameter.uniform_(-0.5, 0.5)
        if hot is not None:
            dlrm.get_buffer("sparse_arch.hot.keys").copy_(torch.from_numpy(hot))
    spec = spec.model_copy(update={"name": name or spec.name})
    calibration = [golden_batch(spec, random_features(spec, 64, seed))]
    return publish(spec, dlrm, random_features(spec, 8, seed), repository, version, calibration=calibration).path


def spoil(path: Path, above: float) -> None:
    """Have a model score NaN where its first number is larger; its golden rows score as they did."""
    _extend(
        path,
        {"first": np.array(0), "bound": np.array(above, np.float32), "none": np.array(np.nan, np.float32)},
        helper.make_node("Gather", ["dense", "first"], ["first_number"], axis=1),
        helper.make_node("Greater", ["first_number", "bound"], ["is_spoiled"]),
        helper.make_node("Where", ["is_spoiled", "none", "before"], ["after"]),
    )


def poison(path: Path, above: float) -> None:
    """Have ONNX Runtime raise where a model's first number is larger; its golden rows score as they did."""
    _extend(
        path,
        {
            "first": np.array(0),
            "bound": np.array(above, np.float32),
            "one": np.array([1], np.float32),
        },
        helper.make_node("Gather", ["dense", "first"], ["first_number"], axis=1),
        helper.make_node("Greater", ["first_number", "bound"], ["is_poison"]),
        helper.make_node("Cast", ["is_poison"], ["index"], to=onnx.TensorProto.INT64),  # 1 is beyond the end
        helper.make_node("Gather", ["one", "index"], ["ones"]),
        helper.make_node("Mul", ["before", "ones"], ["after"]),
    )


def fill_memory(path: Path) -> None:
    """Have a model take 64 MB of address space for each batch and give it back, in which nothing is written.

    NonZero makes room for the indices of all elements, and finds none.
    """
    _extend(
        path,
        {"many": np.array([1 << 23]), "first": np.array(0), "axes": np.array([0])},
        helper.make_node(
            "ConstantOfShape",
            ["many"],
            ["zeros"],
            value=helper.make_tensor("zero", onnx.TensorProto.BOOL, [1], [False]),
        ),
        helper.make_node("NonZero", ["zeros"], ["found"]),
        helper.make_node("Size", ["found"], ["none_found"]),
        helper.make_node("Cast", ["none_found"], ["nothing"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Add", ["before", "nothing"], ["after"]),
    )


def mark(path: Path) -> bytes:
    """Have a model add the first of some numbers in its memory, 0, to each score.

    Returns the bytes of the numbers, by which they are found in the memory of a process that serves the model.
    """
    numbers = np.random.default_rng(0).random(64, np.float32)
    numbers[0] = 0
    _extend(
        path,
        {"first": np.array(0), "numbers": numbers},
        helper.make_node("Gather", ["dense", "first"], ["first_number"], axis=1),
        helper.make_node("IsInf", ["first_number"], ["never"]),
        helper.make_node("Cast", ["never"], ["index"], to=onnx.TensorProto.INT64),
        helper.make_node("Gather", ["numbers", "index"], ["added"]),
        helper.make_node("Add", ["before", "added"], ["after"]),
    )
    return numbers.tobytes()


def slow_down(path: Path) -> None:
    """Have a model take some milliseconds for a batch of any size, by a product of matrices of zeros."""
    _extend(
        path,
        {"many": np.array([1000, 1000]), "zero": np.array(0, np.float32)},
        helper.make_node("ReduceMax", ["before"], ["largest"], keepdims=0),
        helper.make_node("Mul", ["largest", "zero"], ["nothing"]),
        helper.make_node("Expand", ["nothing", "many"], ["much_of_nothing"]),
        helper.make_node("MatMul", ["much_of_nothing", "much_of_nothing"], ["as_much"]),
        helper.make_node("ReduceMax", ["as_much"], ["still_nothing"], keepdims=0),
        helper.make_node("Add", ["before", "still_nothing"], ["after"]),
    )


def take_memory(path: Path, gib: int) -> None:
    """Have a model take so much memory for each batch, and write zeros to all of it."""
    _extend(
        path,
        {"many": np.array([gib, 1 << 28])},
        helper.make_node("ConstantOfShape", ["many"], ["much_of_nothing"]),
        helper.make_node("ReduceMax", ["much_of_nothing"], ["nothing"], keepdims=0),
        helper.make_node("Add", ["before", "nothing"], ["after"]),
    )


def never_end(path: Path) -> None:
    """Have a model go round in a loop."""
    true = helper.make_node("Constant", [], ["true"], value=numpy_helper.from_array(np.array(True)))
    on = helper.make_node("Identity", ["on_before"], ["on_after"])
    same = helper.make_node("Identity", ["scores_before"], ["scores_after"])
    value = helper.make_tensor_value_info
    inputs = [
        value("round", TensorProto.INT64, []),
        value("on_before", TensorProto.BOOL, []),
        value("scores_before", TensorProto.FLOAT, None),
    ]
    outputs = [value("on_after", TensorProto.BOOL, []), value("scores_after", TensorProto.FLOAT, None)]
    body = helper.make_graph([on, same], "round", inputs, outputs)
    _extend(path, {}, true, helper.make_node("Loop", ["", "true", "before"], ["after"], body=body))


def _extend(path: Path, constants: dict[str, np.ndarray[Any, Any]], *nodes: onnx.NodeProto) -> None:
    """Have nodes make a model's scores, `after`, of the ones that it gave, `before`."""
    model = onnx.load(path)
    (score,) = model.graph.output
    for node in model.graph.node:
        node.output[:] = ["before" if name == score.name else name for name in node.output]
    nodes[-1].output[:] = [score.name]
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    model.graph.node.extend(nodes)
    onnx.save_model(model, path)
