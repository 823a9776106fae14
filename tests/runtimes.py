"""Runs models with and without the native lookup. Needs numpy and onnxruntime alone, so that any release can run it.

    python tests/runtimes.py LIBRARY FOLDER

FOLDER holds NAME.onnx files, each with NAME.npz: inputs, batch after batch, as 0.ids, 1.ids, ..., and what must come
out as 0.expected, ... where that is known.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

Array = npt.NDArray[Any]


def run(model: Path, batches: list[dict[str, Array]], library: Path | None) -> tuple[list[Array], set[str]]:
    """The first output for every batch, and the kinds of operators that ran."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 2
    if library:
        options.register_custom_ops_library(str(library))
    options.enable_profiling = True
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = f"{folder}/profile"
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        outputs = [session.run(None, batch)[0] for batch in batches]
        events = json.loads(Path(session.end_profiling()).read_text())
    return outputs, {event["args"]["op_name"] for event in events if "op_name" in event.get("args", {})}


def check(library: Path, folder: Path) -> int:
    """Assert that with and without the library all models in a folder give the same bits, and how many there are."""
    models = sorted(folder.glob("*.onnx"))
    for model in models:
        arrays = np.load(model.with_suffix(".npz"))
        inputs: dict[str, dict[str, Array]] = {}
        expected: dict[str, Array] = {}
        for key in arrays:
            batch, _, name = key.partition(".")
            if name == "expected":
                expected[batch] = arrays[key]
            else:
                inputs.setdefault(batch, {})[name] = arrays[key]
        native, ran = run(model, list(inputs.values()), library)
        function, inlined = run(model, list(inputs.values()), None)
        assert "HashLookup" in ran and "Mod" not in ran, f"{model.name}: {ran}"
        assert "HashLookup" not in inlined and "Mod" in inlined, f"{model.name}: {inlined}"
        for batch, ours, theirs in zip(inputs, native, function, strict=True):
            assert same(ours, theirs), f"{model.name}: batch {batch} differs from the function's"
            assert batch not in expected or same(ours, expected[batch]), f"{model.name}: batch {batch} is wrong"
    return len(models)


def same(one: Array, other: Array) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


if __name__ == "__main__":
    print(onnxruntime.__version__, check(Path(sys.argv[1]), Path(sys.argv[2])))
