"""The native lookup (ops/)."""

import itertools
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import helper

from testing import runtimes
from testing.artifacts import write_artifact
from testing.lookups import SHAPES, hashed, lookup, lookup_model, native_session, random_memory
from testing.samples import SEVEN_BAGS, SHARED, random_batch, small_spec
from thimble.models.hashing import ID_LIMIT
from thimble.models.quantization import MemoryPrecision
from thimble.ops.library import LIBRARY

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "ops"
OLDEST = "1.21.0"
BATCHES = [0, 1, 3, 3000]
PRECISIONS: dict[MemoryPrecision, tuple[npt.DTypeLike, int]] = {
    "fp32": (np.float32, 32),
    "fp16": (np.float16, 16),
    "int8": (np.uint8, 8),
    "int4": (np.uint8, 4),
}
# three of every scheme are others; int8 and int4 are for block, int4 for even chunks
CASES = len(SHARED) * (2 * len(SHAPES) + 3) + len(SHAPES) + sum(chunk % 2 == 0 for _, chunk in SHAPES)

needs_library = pytest.mark.skipif(not LIBRARY.is_file(), reason=f"{LIBRARY.name} is not built; make ops says why")


@pytest.fixture(scope="session")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lookups of every scheme and precision and whole models, as `testing.runtimes` takes them."""
    folder = tmp_path_factory.mktemp("cases")
    for scheme in SHARED:
        for (precision, (dtype, bits)), (dim, chunk) in itertools.product(PRECISIONS.items(), SHAPES):
            spec = small_spec(scheme, dim=dim, chunk=chunk, memory=chunk * 125)
            try:
                spec.embedding.check_precision(precision)
            except ValueError:
                continue
            memory = random_memory(spec, dtype, bits)
            arrays: dict[str, Any] = {}
            for i, rows in enumerate(BATCHES):
                arrays[f"{i}.ids"] = random_batch(spec, rows, i).ids
                arrays[f"{i}.expected"] = lookup(spec, memory, arrays[f"{i}.ids"])
            name = f"{scheme}-{precision}-{dim}-{chunk}"
            onnx.save_model(lookup_model(spec, memory), folder / f"{name}.onnx")
            np.savez(folder / f"{name}.npz", **arrays)
        with_bags = small_spec(scheme, bags=SEVEN_BAGS)
        integers = np.rint(random_memory(with_bags) * 100) + 0  # which add up to the same in any order; no -0
        onnx.save_model(lookup_model(with_bags, integers), folder / f"{scheme}-bags.onnx")
        arrays = {f"{i}.ids": random_batch(with_bags, rows, i).ids for i, rows in enumerate(BATCHES)}
        expected = {f"{i}.expected": lookup(with_bags, integers, arrays[f"{i}.ids"]) for i in range(len(BATCHES))}
        np.savez(folder / f"{scheme}-bags.npz", **arrays | expected)
        spec = small_spec(scheme)
        halves = random_memory(spec, np.float16)
        onnx.save_model(before_widening(lookup_model(spec, halves)), folder / f"{scheme}-before.onnx")
        ids = random_batch(spec, 50).ids
        arrays = {"0.ids": ids, "0.expected": lookup(spec, halves, ids)}
        np.savez(folder / f"{scheme}-before.npz", **arrays)
        shutil.copy(write_artifact(spec, folder / "repository", scheme), folder / f"{scheme}.onnx")
        batches = [random_batch(spec, rows) for rows in BATCHES[1:]]
        named = {f"{i}.{name}": array for i, batch in enumerate(batches) for name, array in batch._asdict().items()}
        np.savez(folder / f"{scheme}.npz", **named)
    return folder


def before_widening(model: onnx.ModelProto) -> onnx.ModelProto:
    """As files were written whose function leaves float16 as it is: with a Cast in the graph."""
    node, body = model.graph.node[0], model.functions[0]
    cast = body.node.pop()
    assert cast.op_type == "Cast"
    body.output[0] = cast.input[0]
    node.output[0] = "stored"
    model.graph.node.append(helper.make_node("Cast", ["stored"], ["out"], to=onnx.TensorProto.FLOAT))
    return model


@needs_library
def test_with_and_without_the_library_every_bit_is_the_same(cases: Path) -> None:
    assert runtimes.check(LIBRARY, cases) == CASES


@needs_library
@pytest.mark.proof
def test_the_oldest_onnx_runtime_agrees(cases: Path) -> None:
    venv = ROOT / "build" / f"onnxruntime-{OLDEST}"
    python = str(venv / "bin" / "python")
    if not list(venv.glob("lib/*/site-packages/onnxruntime")):
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        command = [python, "-m", "pip", "install", "--quiet", f"onnxruntime=={OLDEST}"]
        if (done := subprocess.run(command, capture_output=True, text=True)).returncode:
            pytest.skip(f"onnxruntime {OLDEST} cannot be installed: {done.stderr.strip().splitlines()[-1]}")
    script = [python, runtimes.__file__, str(LIBRARY), str(cases)]
    assert subprocess.check_output(script, text=True).split() == [OLDEST, str(CASES)]


@needs_library
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"scheme": "robe-v3"}, "scheme 'robe-v3' is none of block, robe-v1 and robe-v2"),
        ({"version": 3}, "version 3 of scheme block is not known, only 1 and 2 are"),
        ({"version": 2}, "version 2 of scheme block needs keys and directory"),
        ({"scheme": "robe-v1", "version": 2}, "version 2 of scheme robe-v1 is not known, only 1 is"),
        ({"chunk_size": 0}, "chunk_size 0 must be at least 1"),
        ({"dim": -1}, "dim -1 must be at least 1"),
        ({"chunk_size": 4}, r"need \[3, 7, 5\]"),
        ({"memory": np.zeros((0, 8), np.float32)}, r"memory \[0, 8\] has no room for a chunk of 8"),
        ({"memory": np.zeros((10, 9), np.float32)}, r"memory is \[10, 9\], but block needs \[\?, 8\]"),
        ({"memory": np.zeros(80, np.float32)}, r"memory is \[80\], but block needs \[\?, 8\]"),
        ({"constants": np.zeros((3, 6, 3), np.int64)}, r"constants are \[3, 6, 3\], but ids \[\?, 7\]"),
        ({"constants": np.zeros((2, 7, 3), np.int64)}, r"constants are \[2, 7, 3\]"),
    ],
)
def test_what_is_no_lookup_is_refused_when_the_session_is_made(changes: dict[str, Any], sentence: str) -> None:
    spec = small_spec()
    model = lookup_model(spec, random_memory(spec), body=False, **changes)
    with pytest.raises(Exception, match=f"HashLookup: .*{sentence}"):
        native_session(model)


@needs_library
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"bits": 2}, "bits 2 of a uint8 memory must be 8 or 4"),
        ({"bits": None}, "bits 0 of a uint8 memory must be 8 or 4"),
        ({"bits": 8}, r"memory is \[125, 4\], but block needs \[\?, 8\]"),
        ({"memory": np.zeros((10, 8), np.uint8)}, r"memory is \[10, 8\], but .* \[\?, 4\] where numbers have 4 bits"),
        ({"chunk_size": 7}, "chunk_size 7 must be even where numbers have 4 bits"),
        ({"scheme": "robe-v2"}, "scheme robe-v2 has no memory of 4 bits, only block has"),
        ({"step": None}, "step nan must be a positive number"),
        ({"step": 0.0}, r"step 0.0\d* must be a positive number"),
        ({"step": -1.0}, r"step -1.0\d* must be a positive number"),
        ({"step": float("inf")}, "step inf must be a positive number"),
    ],
)
def test_numbers_of_few_bits_that_are_no_memory_are_refused(changes: dict[str, Any], sentence: str) -> None:
    spec = small_spec()
    left_out = [name for name, value in changes.items() if value is None]
    given = {name: value for name, value in changes.items() if value is not None}
    model = lookup_model(spec, random_memory(spec, np.uint8, 4), body=False, **given)
    kept = [attribute for attribute in model.graph.node[0].attribute if attribute.name not in left_out]
    del model.graph.node[0].attribute[:]
    model.graph.node[0].attribute.extend(kept)
    with pytest.raises(Exception, match=f"HashLookup: .*{sentence}"):
        native_session(model)


@needs_library
def test_shapes_that_are_known_late_are_checked_at_the_first_run() -> None:
    spec = small_spec()
    model = lookup_model(spec, random_memory(spec), body=False)
    del model.graph.input[0].type.tensor_type.shape.dim[:]
    model.graph.input[0].type.tensor_type.ClearField("shape")
    ids = np.zeros((4, 6), np.int64)
    with pytest.raises(Exception, match=r"HashLookup: constants are \[3, 7, 3\], but ids \[4, 6\]"):
        native_session(model).run(None, {"ids": ids})


@needs_library
@pytest.mark.parametrize("scheme", SHARED)
def test_ids_and_constants_beyond_their_range_are_cut_to_it(scheme: str) -> None:
    spec = small_spec(scheme)
    memory = random_memory(spec)
    extremes = np.array([-1, -(1 << 63), (1 << 63) - 1, 1 << 60, -(1 << 60), 7, 0])
    constants = np.random.default_rng(0).choice(extremes, (3, 7, hashed(spec).chunks(spec.embedding_dim)))
    ids = np.stack([np.roll(extremes, i) for i in range(7)])
    (found,) = native_session(lookup_model(spec, memory, body=False, constants=constants)).run(None, {"ids": ids})
    tamed = lookup_model(spec, memory, body=False, constants=constants & ((1 << 31) - 1))
    (expected,) = native_session(tamed).run(None, {"ids": ids & (ID_LIMIT - 1)})
    assert found.tobytes() == expected.tobytes()
    assert set(found.ravel().tolist()) <= set(memory.tolist())


@needs_library
@pytest.mark.skipif(not shutil.which("readelf"), reason="readelf is not installed")
def test_it_needs_libc_and_nothing_else() -> None:
    dynamic = subprocess.check_output(["readelf", "--dynamic", "--wide", LIBRARY], text=True)
    needed = set(re.findall(r"NEEDED.*\[(.+)\]", dynamic))
    assert "libc.so.6" in needed
    assert {re.split(r"[.-]", name)[0] for name in needed} <= {"libc", "libm", "libpthread", "libdl", "librt", "ld"}


@needs_library
@pytest.mark.skipif(not shutil.which("nvcc"), reason="nvcc is not installed")
def test_the_cuda_kernel_is_in_it_for_every_generation() -> None:
    content = LIBRARY.read_bytes()
    assert b"CUDAExecutionProvider" in content
    assert {b"sm_75", b"sm_80", b"sm_90"} <= set(re.findall(rb"sm_\d+", content)), "machine code"
    assert re.search(rb"compute_\d+", content), "PTX"


@pytest.fixture(scope="session")
def fuzz(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, int], str]:
    """Runs the fuzzer for some seconds, from a seed."""
    if not shutil.which("cmake"):
        pytest.skip("cmake is not installed")
    folder = tmp_path_factory.mktemp("fuzz")
    configure = ["cmake", "-S", str(SOURCES), "-B", str(folder), "-DTHIMBLE_FUZZ=ON"]
    if subprocess.run(configure, capture_output=True).returncode:
        pytest.skip("there is no C++ compiler that CMake can use")
    built = subprocess.run(["cmake", "--build", folder], capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return lambda seconds, seed: subprocess.check_output(
        [folder / "fuzz", str(seconds), str(seed)], stderr=subprocess.STDOUT, text=True
    )


def test_the_sanitizers_find_nothing(fuzz: Callable[[int, int], str]) -> None:
    assert fuzz(5, 0).endswith("lookups agree\n")


@pytest.mark.proof
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_sanitizers_find_nothing_for_long(fuzz: Callable[[int, int], str], seed: int) -> None:
    assert fuzz(100, seed).endswith("lookups agree\n")


def test_without_headers_or_compiler_the_build_says_so_and_goes_on(tmp_path: Path) -> None:
    root = tmp_path / "clone"
    shutil.copytree(SOURCES, root / "ops", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    script = [sys.executable, str(root / "ops" / "build.py")]
    without_cmake = subprocess.run(script, capture_output=True, text=True, env={"PATH": str(tmp_path)}, check=True)
    assert "cmake is not installed" in without_cmake.stdout
    if shutil.which("cmake") and not Path("/usr/include/onnxruntime").is_dir():
        without_headers = subprocess.run(script, capture_output=True, text=True, check=True)
        assert re.search("headers are not there|CMAKE_CXX_COMPILER", without_headers.stdout)
    assert not list((root / "ops").glob("*.so"))
