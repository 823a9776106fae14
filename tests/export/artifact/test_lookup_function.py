import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from testing.lookups import STEP, hashed, lookup, lookup_model, random_memory
from testing.samples import SHARED, small_spec
from thimble.export.artifact.agreement import onnx_session
from thimble.export.artifact.lookup_function import OPSET, function
from thimble.models.hashing import ID_LIMIT, Int64s
from thimble.models.nn.shared_memory import SharedMemory
from thimble.models.quantization import dequantize


def random_ids(rows: int) -> Int64s:
    """For seven fields, the least and the greatest id among them."""
    ids = np.random.default_rng(1).integers(0, ID_LIMIT, (rows, 7))
    ids[:1], ids[1:2] = 0, ID_LIMIT - 1
    return ids


@pytest.mark.parametrize("scheme", SHARED)
@pytest.mark.parametrize(("dim", "chunk"), [(16, 8), (20, 8), (5, 8), (3, 1)])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_the_function_reads_what_the_definition_reads(scheme: str, dim: int, chunk: int, dtype: npt.DTypeLike) -> None:
    spec = small_spec(scheme, dim=dim, chunk=chunk, memory=800)
    embedding = hashed(spec)
    node = helper.make_node("HashLookup", ["ids", "memory", "constants"], ["out"], domain="thimble")
    attributes = embedding.op_attributes(dim)
    assert attributes == {"scheme": scheme, "version": 1, "chunk_size": chunk, "dim": dim}
    node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
    inputs = [
        helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", 7]),
        helper.make_tensor_value_info(
            "memory", helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), ["a", "b"][: 2 if scheme == "block" else 1]
        ),
        helper.make_tensor_value_info("constants", TensorProto.INT64, [3, 7, embedding.chunks(dim)]),
    ]
    graph = helper.make_graph(
        [node], "g", inputs, [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["x", "y", "z"])]
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("thimble", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10, functions=[function(embedding)])
    onnx.checker.check_model(model)
    memory = random_memory(spec, dtype)
    ids = random_ids(50)
    shaped = memory.reshape(-1, chunk) if scheme == "block" else memory
    feeds = {"ids": ids, "memory": shaped, "constants": embedding.hash_map(dim).constants}
    (found,) = onnx_session(model.SerializeToString()).run(None, feeds)
    assert found.tobytes() == lookup(spec, memory, ids).tobytes()


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize(("dim", "chunk"), [(16, 8), (20, 8), (5, 8), (3, 2), (128, 32)])
def test_of_bytes_function_and_torch_make_what_the_definition_makes(bits: int, dim: int, chunk: int) -> None:
    spec = small_spec(dim=dim, chunk=chunk, memory=chunk * 300)
    memory = random_memory(spec, np.uint8, bits)
    model = lookup_model(spec, memory)
    onnx.checker.check_model(model)
    session = onnx_session(model.SerializeToString())
    module = SharedMemory(hashed(spec), spec.fields, spec.embedding_dim, spec.precision.memory)
    module.memory = nn.Parameter(torch.from_numpy(dequantize(memory.reshape(300, -1), STEP, bits)))
    module.quantize(float(STEP), bits)
    for rows in (0, 1, 50):
        ids = random_ids(rows)
        expected = lookup(spec, memory, ids)
        (found,) = session.run(None, {"ids": ids})
        assert found.dtype == expected.dtype and found.shape == expected.shape == (rows, 7, dim)
        assert found.tobytes() == expected.tobytes()
        assert module(torch.from_numpy(ids)).numpy().tobytes() == expected.tobytes()
