"""`thimble::HashLookup` written in standard ONNX operators, which runtimes without the native op inline.

    HashLookup(ids [batch, fields], memory, constants [3, fields, chunks]) -> float32 [batch, fields, dim]

The attributes `scheme` and `version` say which map of `models.hashing` it is, so each has a body of its own and a new
one leaves those of older files as they are. `constants` are a, b and s of that map. What a float16 memory holds is
widened. (Older files have a function that leaves it float16, and a Cast behind it. The native op widens there too, and
the Cast has nothing left to do.)
"""

import onnx
from onnx import parser

from thimble.models.hashing import BLOCK_PRIME, LOW, ROBE_PRIME
from thimble.models.nn.embeddings import ONNX_DOMAIN, ONNX_OP
from thimble.models.spec import BlockEmbedding, RobeEmbedding

OPSET = 18

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
    zero = Constant <value_ints = [0]> ()
    dim_list = Constant <value_int: int = @dim> ()
    dim_1 = Reshape (dim_list, one)
"""
# memory is [slots, chunk_size]: a chunk is a row
_ALIGNED = """
    slots = Shape <start = 0, end = 1> (memory)
    slot = Mod (hash, slots)
    chunked = Gather <axis = 0> (memory, slot)
"""
# memory is [memory_length]: a chunk starts anywhere
_UNALIGNED = """
    chunk = Constant <value_int: int = @chunk_size> ()
    length = Shape (memory)
    room = Sub (length, chunk)
    lacking = Constant <value_int = {lacking}> ()
    slots = Add (room, lacking)
    start = Mod (hash, slots)
    start_1 = Unsqueeze (start, last)
    from = Constant <value_int = 0> ()
    step = Constant <value_int = 1> ()
    within = Range (from, chunk, step)
    position = Add (start_1, within)
    chunked = Gather <axis = 0> (memory, position)
"""
# the width is spelt out, for -1 says nothing about an empty batch
_JOIN = """
    chunk_list = Constant <value_int: int = @chunk_size> ()
    chunk_1 = Reshape (chunk_list, one)
    chunks = Shape <start = 2, end = 3> (constants)
    width = Mul (chunks, chunk_1)
    same = Constant <value_ints = [0, 0]> ()
    joined_shape = Concat <axis = 0> (same, width)
    joined = Reshape (chunked, joined_shape)
    two = Constant <value_ints = [2]> ()
    stored = Slice (joined, zero, dim_1, two)
    embeddings = Cast <to = 1> (stored)
"""


def function(embedding: BlockEmbedding | RobeEmbedding) -> onnx.FunctionProto:
    """The body for an embedding's scheme."""
    match embedding.scheme:
        case "block":
            body = _HASH.format(low=LOW, prime=BLOCK_PRIME) + _ALIGNED
        case "robe-v1":
            body = _HASH.format(low=LOW, prime=ROBE_PRIME) + _UNALIGNED.format(lacking=1)
        case "robe-v2":
            body = _HASH.format(low=LOW, prime=ROBE_PRIME) + _UNALIGNED.format(lacking=0)
    text = (
        f'<opset_import: ["" : {OPSET}], domain: "{ONNX_DOMAIN}">\n'
        f"{ONNX_OP} <scheme, version, chunk_size, dim> (ids, memory, constants) => (embeddings)\n"
        f"{{{body}{_JOIN}}}"
    )
    return parser.parse_function(text)
