"""Models that are a lookup and nothing else."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from thimble.export.graph import IR_VERSION
from thimble.export.lookup_function import OPSET, function
from thimble.models.hashing import hash_map
from thimble.models.spec import BlockEmbedding, ModelSpec, RobeEmbedding

# embedding_dim and chunk_size: the one divided by the other with and without a rest, and smaller than it
SHAPES = [(16, 8), (20, 8), (5, 8), (3, 1), (128, 32), (30, 7)]

Memory = npt.NDArray[Any]


def random_memory(spec: ModelSpec, dtype: npt.DTypeLike = np.float32) -> Memory:
    """Flat, [memory_length]. float16 ones hold numbers of every kind, subnormal and infinite ones among them."""
    assert isinstance(spec.embedding, BlockEmbedding | RobeEmbedding)
    random, length = np.random.default_rng(0), spec.embedding.memory_length
    if dtype != np.float16:
        return random.normal(size=length).astype(dtype)
    halves = random.integers(0, 1 << 16, length, np.uint16).view(np.float16)
    return np.where(np.isnan(halves), np.float16(0), halves)


def lookup_model(spec: ModelSpec, flat: Memory, body: bool = True, **changes: Any) -> onnx.ModelProto:
    """`ids` in, embeddings out. `changes` are to attributes, or to the initializers `memory` and `constants`."""
    embedding = spec.embedding
    assert isinstance(embedding, BlockEmbedding | RobeEmbedding)
    weights = {
        "memory": flat.reshape(-1, embedding.chunk_size) if embedding.scheme == "block" else flat,
        "constants": hash_map(spec).constants,
    }
    attributes = {
        "scheme": embedding.scheme,
        "version": embedding.version,
        "chunk_size": embedding.chunk_size,
        "dim": spec.embedding_dim,
    }
    weights = {name: changes.pop(name, value) for name, value in weights.items()}
    node = helper.make_node("HashLookup", ["ids", *weights], ["out"], domain="thimble", **attributes | changes)
    graph = helper.make_graph(
        [node],
        "lookup",
        [helper.make_tensor_value_info("ids", onnx.TensorProto.INT64, ["batch", len(spec.fields)])],
        [helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, ["batch", len(spec.fields), spec.embedding_dim])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("thimble", 1)],
        ir_version=IR_VERSION,
        functions=[function(embedding)] if body else [],
    )
