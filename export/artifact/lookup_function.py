"""`thimble::HashLookup` written in standard ONNX operators, which runtimes without the native op inline.

    HashLookup(ids [batch, fields], memory, constants [3, fields, chunks]) -> float32 [batch, fields, dim]

and with hot rows (`thimble.models.hot_rows`), of two inputs more,

    HashLookup(ids, memory, constants, keys int32 [buckets, 4], directory [5, fields, 2])

The attributes `scheme` and `version` say which map it is, so each has a body of its own and a new one leaves those of
older files as they are. `constants` are a, b and s of that map (`thimble.models.hashing`). What a float16 memory holds
is widened. A memory of bytes is quantized (`thimble.models.quantization`); its node has two attributes more, `bits`, 8
or 4, and the float `step`.

With bags ids are [batch, slots], and two attributes more say what they are: `values`, the slots of each field, and
`pooling`, 0 of a single-valued one, 1 for the sum, 2 the mean, 3 the largest. What follows from them is written into
the body (`thimble.export.artifact.pooling_body`).
"""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import parser

from thimble.export.artifact.pooling_body import each_slot, pooled
from thimble.models.bags import Bag
from thimble.models.hashing import LOW
from thimble.models.quantization import dequantize
from thimble.models.schemes.base import OP_DOMAIN, OP_NAME, HashedEmbedding, bag_attributes

OPSET = 18

# what all maps have in common, `hash` [batch, fields, chunks]; a scheme's own part makes `chunked` of it
_HASH = """
    low_range = Constant <value_int = {low}> ()
    prime = Constant <value_int = {prime}> ()
    one = Constant <value_ints = [1]> ()
    last = Constant <value_ints = [-1]> ()
    a3, b3, s3 = Split <axis = 0, num_outputs = 3> (constants)
    id = Unsqueeze (ids, last)
    low = Mod (id, low_range)
    high = Div (id, low_range)
    low_a = Mul (low, a3)
    high_b = Mul (high, b3)
    products = Add (low_a, high_b)
    sum = Add (products, s3)
    hash = Mod (sum, prime)
    chunks = Shape <start = 2, end = 3> (constants)
    zero = Constant <value_ints = [0]> ()
    dim_list = Constant <value_int: int = @dim> ()
    dim_1 = Reshape (dim_list, one)
"""
_HALVES = dequantize(np.arange(256)[:, None], np.float32(1), 4)
# What is read of a quantized memory is made float32. BitShift would be faster, but CUDA has no kernel for it, and so no
# graph would be captured.
_VALUES = {
    8: """
    step = Constant <value_float: float = @step> ()
    centre = Constant <value = uint8 {128}> ()
    values = DequantizeLinear (chunked, step, centre)
""",
    # the two weights of each byte, which one read makes both
    4: f"""
    step = Constant <value_float: float = @step> ()
    multiples = Constant <value = float[256, 2] {{{", ".join(map(str, _HALVES.ravel()))}}}> ()
    weights = Mul (multiples, step)
    index = Cast <to = 6> (chunked)
    values = Gather <axis = 0> (weights, index)
""",
}
# the width is spelt out, for -1 says nothing about an empty batch
_JOIN = """
    chunk_list = Constant <value_int: int = @chunk_size> ()
    chunk_1 = Reshape (chunk_list, one)
    width = Mul (chunks, chunk_1)
    same = Constant <value_ints = [0, 0]> ()
    joined_shape = Concat <axis = 0> (same, width)
    joined = Reshape ({values}, joined_shape)
    two = Constant <value_ints = [2]> ()
    stored = Slice (joined, zero, dim_1, two)
    {embeddings} = Cast <to = 1> (stored)
"""


def function(
    embedding: HashedEmbedding, bits: int | None = None, bags: Sequence[Bag | None] = ()
) -> onnx.FunctionProto:
    """The function for an embedding's scheme, a memory that is quantized to so many bits, and the fields' bags."""
    values, attributes, read = ("values", ", bits, step", _VALUES[bits]) if bits else ("chunked", "", "")
    inputs, before, after, embeddings = list(embedding.op_inputs), "", "", "embeddings"
    if any(bags):
        inputs, before = each_slot(bags, inputs)
        embeddings, after = "looked_up", pooled(bags)
        attributes += "".join(f", {name}" for name in bag_attributes(bags))
    hashed = _HASH.format(low=LOW, prime=embedding.prime) + embedding.onnx_chunks
    body = before + hashed + read + _JOIN.format(values=values, embeddings=embeddings) + after
    text = (
        f'<opset_import: ["" : {OPSET}], domain: "{OP_DOMAIN}">\n'
        f"{OP_NAME} <scheme, version, chunk_size, dim{attributes}> ({', '.join(inputs)}) => (embeddings)\n"
        f"{{{body}}}"
    )
    return parser.parse_function(text)
