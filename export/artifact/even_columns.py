"""Columns that stand side by side before an integer layer, brought to like sizes.

A layer's inputs are rounded with one range for all of them. Where it reads a Concat, as of the dense vector and the
products of embeddings, columns differ in size, and the range of the largest leaves few steps to the others. So each
column is multiplied by a factor and its weights are divided by it, which changes nothing but the rounding, and is one
more operator a layer. The way is SmoothQuant's (Xiao et al., ICML 2023), the factor ours: one over the third root of
the column's largest value. With square roots columns are more even still, and then rows that are unlike those that the
range was measured on have less room in it.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import numpy as np
import onnx

from thimble.export.artifact.agreement import onnx_session
from thimble.models.features import Batch
from thimble.models.hashing import Floats

SMALLEST = 1 / 64
"""Of the largest column: one that is smaller counts as that, or a column that is hardly used would be the range."""


def even_columns(
    model: onnx.ModelProto, inner: Sequence[onnx.NodeProto], sample: Iterable[Batch], folder: Path
) -> None:
    """Change the `inner` layers that read a Concat. `sample` are rows as they are scored, `folder` is for a file.

    One that is not written as ours are, or whose weights another one reads as well, stays as it is: a module that is
    somebody's own may have such.
    """
    graph = model.graph
    beside = {node.output[0] for node in graph.node if node.op_type == "Concat"}
    weights = {tensor.name: tensor for tensor in graph.initializer}
    readers = Counter(name for node in graph.node for name in node.input)
    layers = [
        node
        for node in inner
        if node.input[0] in beside and node.input[1] in weights and readers[node.input[1]] == 1 and _is_linear(node)
    ]
    largest = _largest(model, {node.input[0] for node in layers}, sample, folder) if layers else {}
    for layer in layers:
        source, name = layer.input[0], f"{layer.name}.factors"
        if source not in largest:
            continue
        tensor = weights[layer.input[1]]  # [outputs, columns]
        factors = (1 / np.cbrt(_no_smaller(largest[source]))).astype(np.float32)
        tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor) / factors, tensor.name))
        graph.initializer.append(onnx.numpy_helper.from_array(factors, name))
        scaled = onnx.helper.make_node("Mul", [source, name], [f"{name}.scaled"], name=f"{name}.mul")
        layer.input[0] = scaled.output[0]
        graph.node.insert(list(graph.node).index(layer), scaled)


def _is_linear(layer: onnx.NodeProto) -> bool:
    """Whether it takes its inputs as they are, and weights [outputs, columns], as torch's linear layers do."""
    given = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in layer.attribute}
    return bool(given.get("transB", 0) == 1 and given.get("transA", 0) == 0)


def _largest(
    model: onnx.ModelProto, names: Collection[str], sample: Iterable[Batch], folder: Path
) -> dict[str, Floats]:
    """The largest absolute value of each column of inner tensors; none where there are no rows."""
    outputs = [onnx.ValueInfoProto(name=name) for name in names]
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    del shown.graph.output[:]
    shown.graph.output.extend(outputs)
    path = folder / "shown.onnx"
    onnx.save_model(shown, path, save_as_external_data=model.ByteSize() >= onnx.checker.MAXIMUM_PROTOBUF)
    session = onnx_session(str(path))
    largest: dict[str, Floats] = {}
    for batch in sample:
        for name, values in zip(names, session.run(list(names), batch.fed()), strict=True):
            column = np.abs(np.nan_to_num(values, posinf=0, neginf=0)).max(axis=0)
            largest[name] = np.maximum(largest.get(name, column), column)
    return largest


def _no_smaller(sizes: Floats) -> Floats:
    """Sizes of columns, of which none is far smaller than the largest."""
    least = sizes.max() * SMALLEST
    floored: Floats = np.maximum(sizes, least or 1)
    return floored
