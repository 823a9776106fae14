"""Models that are a lookup and nothing else."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from thimble.export.artifact.graph import IR_VERSION
from thimble.export.artifact.lookup_function import OPSET, function
from thimble.models.directory import fill
from thimble.models.hashing import Floats, Int64s
from thimble.models.hot_rows import HotDirectory, Keys, hot_keys
from thimble.models.pooling import pooled_lookup
from thimble.models.schemes.base import OP_DOMAIN, OP_NAME, HashedEmbedding, bag_attributes
from thimble.models.schemes.block import BlockEmbedding
from thimble.models.spec import ModelSpec
from thimble.ops.library import LIBRARY

# embedding_dim and chunk_size: the one divided by the other with and without a rest, and smaller than it
SHAPES = [(16, 8), (20, 8), (5, 8), (3, 1), (128, 32), (30, 7)]

STEP = np.float32(0.0123)
"""Of memories of bytes."""

Memory = npt.NDArray[Any]


def hashed(spec: ModelSpec) -> HashedEmbedding:
    """The embedding of a model that has no full tables."""
    assert isinstance(spec.embedding, HashedEmbedding)
    return spec.embedding


def lookup(spec: ModelSpec, memory: Memory, ids: Int64s, keys: Keys | None = None) -> Floats:
    """By numpy's definition: ids [batch, slots] -> [batch, fields, dim], from the flat memory.

    `keys` are those of hot rows, if the model has such.
    """
    embedding = hashed(spec)
    weights = {"memory": memory} | ({} if keys is None else {"hot.keys": keys})
    if memory.dtype == np.uint8:
        weights |= {"memory": memory.reshape(embedding.memory_shape[0], -1), "step": np.array(STEP)}
    return pooled_lookup(embedding, weights, ids, spec.embedding_dim, spec.bags)


def with_hot(spec: ModelSpec, ids: Sequence[Int64s]) -> tuple[ModelSpec, Keys]:
    """The model with as many slots more as rows for these ids of each field take, and its keys."""
    plain = spec.embedding
    assert isinstance(plain, BlockEmbedding)
    directory, lying = fill(ids)
    length = plain.memory_length + directory.places * plain.chunks(spec.embedding_dim) * plain.chunk_size
    hot = HotDirectory(**directory.model_dump(), ids=sum(map(len, ids)), reads=0.5)
    embedding = plain.model_copy(update={"version": 2, "hot": hot, "memory_length": length})
    return ModelSpec.model_validate({**spec.model_dump(), "embedding": embedding}), hot_keys(directory, lying)


def random_memory(spec: ModelSpec, dtype: npt.DTypeLike = np.float32, bits: int = 8) -> Memory:
    """Flat, of memory_length weights; `bits` are those of a weight in uint8.

    float16 ones are numbers of every kind, subnormal and infinite ones among them.
    """
    random, length = np.random.default_rng(0), hashed(spec).memory_length
    if dtype == np.uint8:
        return random.integers(0, 256, length * bits // 8, np.uint8)
    if dtype != np.float16:
        return random.normal(size=length).astype(dtype)
    halves = random.integers(0, 1 << 16, length, np.uint16).view(np.float16)
    return np.where(np.isnan(halves), np.float16(0), halves)


def lookup_model(
    spec: ModelSpec, flat: Memory, body: bool = True, keys: Keys | None = None, **changes: Any
) -> onnx.ModelProto:
    """`ids` in, embeddings out. `changes` are to attributes, or to the initializers, `memory` and `constants`."""
    embedding = hashed(spec)
    weights = {
        "memory": flat.reshape(*embedding.memory_shape[:-1], -1),
        "constants": embedding.hash_map(spec.embedding_dim).constants,
    }
    if keys is not None:
        assert isinstance(embedding, BlockEmbedding) and embedding.hot
        weights |= {"keys": keys, "directory": embedding.hot.tensor()}
    attributes: dict[str, Any] = {**embedding.op_attributes(spec.embedding_dim), **bag_attributes(spec.bags)}
    bits = None
    if flat.dtype == np.uint8:
        bits = 8 * flat.size // embedding.memory_length
        attributes |= {"bits": bits, "step": float(STEP)}
    weights = {name: changes.pop(name, value) for name, value in weights.items()}
    node = helper.make_node(OP_NAME, ["ids", *weights], ["out"], domain=OP_DOMAIN, **attributes | changes)
    graph = helper.make_graph(
        [node],
        "lookup",
        [helper.make_tensor_value_info("ids", onnx.TensorProto.INT64, ["batch", spec.inputs[1].width])],
        [helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, ["batch", len(spec.fields), spec.embedding_dim])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(OP_DOMAIN, 1)],
        ir_version=IR_VERSION,
        functions=[function(embedding, bits, spec.bags)] if body else [],
    )


def native_session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """With the library of native operators."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.register_custom_ops_library(str(LIBRARY))
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
