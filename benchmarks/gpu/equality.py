"""Is the lookup on a device the definition's (thimble.models.hashing), bit for bit?"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx

from benchmarks.device import Device
from testing.lookups import SHAPES, hashed, lookup, lookup_model, random_memory
from testing.runtimes import run, same
from testing.samples import SHARED, random_batch, small_spec
from thimble.models.hashing import ID_LIMIT, LOW, Int64s
from thimble.models.spec import ModelSpec

ROWS = [0, 1, 3, 3000]
MANY = 100_000
"""Rows of 210 numbers that one grid does not hold, so that its threads go round again."""
EXTREMES = np.array([0, 1, LOW - 1, LOW, LOW + 1, (1 << 32) - 1, ID_LIMIT - 1])
BEYOND = np.array([-1, -(1 << 63), (1 << 63) - 1, ID_LIMIT, -ID_LIMIT, ID_LIMIT + 7, -LOW])
"""No ids, so the function may do with them what it likes; the native lookup takes them modulo 2^60."""


class Case(NamedTuple):
    name: str
    spec: ModelSpec
    dtype: npt.DTypeLike
    batches: list[Int64s]


def cases() -> Iterator[Case]:
    """Every scheme and precision, in the tests' shapes and in that of the demo."""
    for scheme in SHARED:
        specs = [small_spec(scheme, dim=dim, chunk=chunk, memory=chunk * 125) for dim, chunk in SHAPES]
        specs.append(small_spec(scheme, kinds=["hex"] * 26, dim=128, chunk=32, memory=3_600_000))
        for spec in specs:
            rows = [*ROWS, MANY] if spec.embedding_dim == 30 else ROWS
            batches = [random_batch(spec, n, seed).ids for seed, n in enumerate(rows)]
            for dtype in (np.float32, np.float16):
                chunks = hashed(spec).chunks(spec.embedding_dim)
                shape = f"{len(spec.fields)} fields, D={spec.embedding_dim} in {chunks} chunks"
                name = f"{scheme}, {np.dtype(dtype)}, {shape}"
                yield Case(name, spec, dtype, [*batches, everywhere(EXTREMES, spec)])


def everywhere(ids: Int64s, spec: ModelSpec) -> Int64s:
    """Each id in each field, [ids, fields]."""
    return np.stack([np.roll(ids, i) for i in range(len(spec.fields))], axis=1)


def equality(device: Device, library: Path) -> dict[str, Any]:
    """How many lookups were compared, and one sentence for each that is wrong."""
    compared, wrong = 0, []
    with tempfile.TemporaryDirectory() as folder:
        for case in cases():
            memory = random_memory(case.spec, case.dtype)
            path = Path(folder) / "lookup.onnx"
            onnx.save_model(lookup_model(case.spec, memory), path)
            for form in (library, None):
                batches = [*case.batches, everywhere(BEYOND, case.spec)] if form else case.batches
                found, nodes = run(path, [{"ids": ids} for ids in batches], form, device.providers)
                if form and {(node.op, node.provider) for node in nodes} != {("HashLookup", device.provider)}:
                    wrong.append(f"{case.name}: the native lookup did not run on {device.provider}")
                for ids, embeddings in zip(batches, found, strict=True):
                    compared += 1
                    if not same(embeddings, lookup(case.spec, memory, ids & (ID_LIMIT - 1))):
                        wrong.append(f"{case.name}: {'native' if form else 'function'} is wrong for {len(ids)} rows")
    return {"compared": compared, "wrong": wrong}
