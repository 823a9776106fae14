"""What each precision of a model costs in quality and buys in speed: one file a variant, all in one process, in turns.

    thimble-export train --preset criteo-tb --generate 300000 --memory 15000000 --memory-precision fp32
    python -m benchmarks.precision.compare runs/criteo-tb

Beside what `thimble-export export` offers, the table has the forms of int8 that were tried and not taken. Speed is on
one thread and with inputs and outputs bound to memory that is kept, as the server runs a model: every round runs each
variant for a while, and the median of the rounds counts. Time is the thread's own, so that other work on the machine
counts less. Quality is measured against the float32 model on the run's held-out rows. Prints tables and writes them
beside this script with the raw results.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import QuantType, quantize_dynamic, quantize_static

from benchmarks.record import processor, record
from thimble.export.artifact.graph import build
from thimble.export.artifact.pipeline import READ_ROWS, calibration_rows, held_out_rows
from thimble.export.artifact.precision import INT8, Calibration, keep_fusable, lower_mlps, quiet
from thimble.export.artifact.precision_cost import precision_cost
from thimble.export.training.checkpoint import load_trained
from thimble.models.features import Batch
from thimble.models.spec import ModelSpec, Precision
from thimble.service.engine.buffers import run_options

RESULTS = Path(__file__).parent / "results"
BATCHES = [1, 16, 64, 256, 1024, 2048]
ROUND_SECONDS = 0.15
SHIPPED = {
    "fp32": Precision(),
    "fp16 embeddings": Precision(memory="fp16"),
    "fp16": Precision(memory="fp16", mlps="fp16"),
    "int8 MLPs": Precision(mlps="int8"),
    "fp16 embeddings, int8 MLPs": Precision(memory="fp16", mlps="int8"),
}
U8, S8 = QuantType.QUInt8, QuantType.QInt8
# static: what differs from what ships (u8 activations, 7-bit s8 weights, one scale a layer, ends in float)
STATIC: dict[str, dict[str, Any]] = {
    "static u8s8, 8-bit weights": {"reduce_range": False},
    "static u8u8": {"reduce_range": False, "weight_type": U8},
    "static s8s8": {"reduce_range": False, "activation_type": S8},
    "static, a scale for each output": {"per_channel": True},
    "static, ends rounded too": {"op_types_to_quantize": ["Gemm", "Relu"], "extra_options": {}},
    "static, ReLU apart": {"extra_options": {}},
}
DYNAMIC: dict[str, dict[str, Any]] = {
    "dynamic u8s8, 7-bit weights": {"reduce_range": True, "weight_type": S8},
    "dynamic u8u8": {"weight_type": U8},
}


def variants(run: Path, folder: Path) -> dict[str, Path]:
    """A file for each variant of the run's model."""
    trained = load_trained(run)
    files: dict[str, Path] = {}

    def add(name: str, model: onnx.ModelProto) -> None:
        files[name] = folder / f"{len(files)}.onnx"
        onnx.save_model(model, files[name])

    for name, precision in SHIPPED.items():
        spec = trained.spec.model_copy(update={"precision": precision})
        add(name, lower_mlps(build(spec, trained.dlrm), spec, calibration_rows(trained)))
    for name, differing in (STATIC | DYNAMIC).items():
        model = build(trained.spec.model_copy(update={"precision": Precision(memory="fp16")}), trained.dlrm)
        target = folder / f"{len(files)}.onnx"
        inner = [node for node in model.graph.node if node.op_type == "Gemm"][1:-1]
        names = [node.name for node in inner]
        options: dict[str, Any] = INT8 | differing
        with quiet():
            if name in DYNAMIC:
                quantize_dynamic(model, target, nodes_to_quantize=_matmuls(model, names), **differing)
            else:
                if options["extra_options"]:
                    keep_fusable(model.graph, inner)
                else:
                    names += [node.name for node in model.graph.node if node.op_type == "Relu"]
                quantize_static(
                    model, target, Calibration(calibration_rows(trained)), nodes_to_quantize=names, **options
                )
        files[name] = target
    return files


def _matmuls(model: onnx.ModelProto, gemms: list[str]) -> list[str]:
    """Write layers as MatMul and Add, the only form that is quantized dynamically; the MatMuls' names."""
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes = list(model.graph.node)
    del model.graph.node[:]
    for node in nodes:
        if node.name not in gemms:
            model.graph.node.append(node)
            continue
        x, weight, bias = node.input
        turned = onnx.numpy_helper.to_array(weights[weight]).T.copy()
        weights[weight].CopyFrom(onnx.numpy_helper.from_array(turned, weight))
        model.graph.node.append(onnx.helper.make_node("MatMul", [x, weight], [f"{node.name}.xw"], name=node.name))
        model.graph.node.append(onnx.helper.make_node("Add", [f"{node.name}.xw", bias], node.output))
    return gemms


def speed(files: dict[str, Path], rows: Batch, rounds: int, ops: Path | None) -> dict[str, dict[int, float]]:
    """Rows a second of each variant at each batch size."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if ops:
        options.register_custom_ops_library(str(ops))
    providers = ["CPUExecutionProvider"]
    sessions = {name: onnxruntime.InferenceSession(path, options, providers=providers) for name, path in files.items()}
    found: dict[str, dict[int, float]] = {name: {} for name in files}
    for size in BATCHES:
        batch = Batch(rows.dense[:size], rows.ids[:size])
        calls = {
            name: partial(session.run_with_iobinding, bound(session, batch), run_options(-1))
            for name, session in sessions.items()
        }
        times: dict[str, list[float]] = {name: [] for name in files}
        for number in range(rounds + 1):
            for name, call in calls.items():
                seconds = _seconds_a_call(call)
                if number:  # the first round warms up
                    times[name].append(seconds)
        for name in files:
            found[name][size] = size / statistics.median(times[name])
    return found


def bound(session: onnxruntime.InferenceSession, batch: Batch) -> onnxruntime.IOBinding:
    """A session's inputs bound to a batch and its output to memory of its own."""
    binding = session.io_binding()
    for name, array in batch._asdict().items():
        binding.bind_cpu_input(name, array)
    scores = onnxruntime.OrtValue.ortvalue_from_shape_and_type([len(batch.ids)], np.float32)
    binding.bind_ortvalue_output("score", scores)
    return binding


def _seconds_a_call(call: Callable[[], Any]) -> float:
    done, start = 0, time.thread_time()
    while (passed := time.thread_time() - start) < ROUND_SECONDS:
        call()
        done += 1
    return passed / done


def tables(results: dict[str, Any]) -> str:
    """Markdown."""
    base = results["variants"]["fp32"]["rows_per_second"]
    cpu = results["processor"]
    lines = [
        f"{cpu['name']}, {'with' if cpu['vnni'] else 'without'} VNNI, one thread, ONNX Runtime {results['runtime']}, "
        f"lookup by {results['lookup']}.",
        "Rows a second, and how many times fp32's:",
        "",
        "| variant | " + " | ".join(f"batch {size}" for size in BATCHES) + " |",
        "| --- |" + " --- |" * len(BATCHES),
    ]
    for name, variant in results["variants"].items():
        speeds = variant["rows_per_second"]
        cells = [f"{speeds[str(size)]:,.0f} ({speeds[str(size)] / base[str(size)]:.2f})" for size in BATCHES]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    rows = results["held_out_rows"]
    lines += ["", f"Changes from the float32 model on {rows:,} held-out rows:", ""]
    lines += ["| variant | file, bytes | AUC | log loss | logit, mean | logit, largest |", "| --- |" + " --- |" * 5]
    for name, variant in results["variants"].items():
        cost = variant["cost"]
        lines.append(
            f"| {name} | {variant['file_bytes']:,} | {cost['auc']:+.6f} | {cost['log_loss']:+.6f} | "
            f"{cost['logit_mean']:.4f} | {cost['logit_largest']:.4f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the folder of a finished training run")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--ops", type=Path, help="a library with the native lookup; without it, standard operators")
    arguments = parser.parse_args()
    trained = load_trained(arguments.run)
    spec: ModelSpec = trained.spec
    held_out = held_out_rows(trained)
    clicks = [part for part in held_out.read(READ_ROWS) if len(part.labels)]
    with tempfile.TemporaryDirectory() as folder:
        files = variants(arguments.run, Path(folder))
        speeds = speed(files, clicks[0].batch, arguments.rounds, arguments.ops)
        found = {
            name: {
                "file_bytes": path.stat().st_size,
                "rows_per_second": {str(size): round(value, 1) for size, value in speeds[name].items()},
                "cost": precision_cost(path, trained.dlrm, clicks).model_dump(),
            }
            for name, path in files.items()
        }
    results = {
        "model": spec.name,
        "processor": processor(),
        "runtime": onnxruntime.__version__,
        "lookup": "native" if arguments.ops else "standard operators",
        "held_out_rows": len(held_out),
        "variants": found,
    }
    name = f"{spec.name}-native" if arguments.ops else spec.name
    record(RESULTS, name, results, tables(results))
    print(tables(results))


if __name__ == "__main__":
    main()
