"""Runs models with and without the native lookup. Needs numpy and onnxruntime alone, so that any release can run it.

    python testing/runtimes.py LIBRARY FOLDER

FOLDER holds NAME.onnx files, each with NAME.npz: inputs, batch after batch, as 0.ids, 1.ids, ..., and what must come
out as 0.expected, ... where that is known.
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnxruntime

Array = npt.NDArray[Any]


class Node(NamedTuple):
    """A node that ran: its name, the kind of operator, and the provider that ran it."""

    name: str
    op: str
    provider: str


def run(
    model: Path,
    batches: Sequence[dict[str, Array]],
    library: Path | None,
    providers: Sequence[str] = ("CPUExecutionProvider",),
) -> tuple[list[Array], set[Node]]:
    """The first output for every batch, and the nodes that ran."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 2
    if library:
        options.register_custom_ops_library(str(library))
    options.enable_profiling = True
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = f"{folder}/profile"
        session = onnxruntime.InferenceSession(model, options, providers=list(providers))
        outputs = [session.run(None, batch)[0] for batch in batches]
        events = json.loads(Path(session.end_profiling()).read_text())
    ran = [event for event in events if "op_name" in event.get("args", {})]
    return outputs, {
        Node(event["name"].removesuffix("_kernel_time"), event["args"]["op_name"], event["args"]["provider"])
        for event in ran
    }


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
        native, native_nodes = run(model, list(inputs.values()), library)
        function, function_nodes = run(model, list(inputs.values()), None)
        ran, inlined = {node.op for node in native_nodes}, {node.op for node in function_nodes}
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
