"""What a batch takes, for each model with the native lookup and with the function, with and without CUDA graphs.

Inputs and scores stay on the device. A batch keeps its rows, because a CUDA graph reads them where they were when it
was made; when all is measured new rows are put there, and their scores compared with the processor's.
"""

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.device import Device, Turn, Values, turn
from benchmarks.op.lookup import measure
from testing.samples import random_batch
from thimble.export.artifact.agreement import onnx_scores, onnx_session
from thimble.export.scoring.evaluate import read_spec

BATCHES = [1, 16, 64, 256, 1024, 4096, 16384]


def speed(device: Device, models: Mapping[str, Path], library: Path, rounds: int) -> dict[str, Any]:
    """`ms` of every timed run by contestant and batch, their `median_ms`, and why a contestant was `refused`."""
    found: dict[str, Any] = {"ms": {}, "median_ms": {}, "score_difference": {}, "refused": {}}
    sessions: dict[str, onnxruntime.InferenceSession] = {}
    for model, path in models.items():
        for lookup, form in (("native", library), ("function", None)):
            for graphs in (False, True) if device.kind == "cuda" else (False,):
                name = f"{model} {lookup}{' graph' if graphs else ''}"
                try:
                    sessions[name] = device.session(path, form, graphs)
                except Exception as error:  # ORT has no public base class for its errors
                    found["refused"][name] = " ".join(str(error).split())
    references = {model: onnx_session(str(path)) for model, path in models.items()}
    spec = read_spec(next(iter(models.values())))
    for number, size in enumerate(BATCHES, 1):
        options = onnxruntime.RunOptions()
        options.add_run_config_entry("gpu_graph_id", str(number))
        rows, others = random_batch(spec, size, 0), random_batch(spec, size, 1)
        inputs: Values = {name: device.value(array) for name, array in rows._asdict().items()}
        scores = {name: device.value(np.zeros(size, np.float32)) for name in sessions}
        turns: dict[str, Turn] = {}
        for name, session in list(sessions.items()):
            run = turn(session, [inputs], {"score": scores[name]}, options if name.endswith("graph") else None)
            try:
                run(0)
            except Exception as error:  # as above
                found["refused"][name] = f"batch {size}: {' '.join(str(error).split())}"
                del sessions[name]
            else:
                turns[name] = run
        for name, times in measure(turns, rounds).items():
            found["ms"].setdefault(name, {})[str(size)] = [round(ms, 4) for ms in times]
            found["median_ms"].setdefault(name, {})[str(size)] = round(statistics.median(times), 4)
        for name, array in others._asdict().items():
            inputs[name].update_inplace(array)
        expected = {model: onnx_scores(session, others) for model, session in references.items()}
        for name, run in turns.items():
            run(0)
            off = float(np.abs(scores[name].numpy() - expected[name.split()[0]]).max())
            found["score_difference"][name] = max(off, found["score_difference"].get(name, 0))
    return found
