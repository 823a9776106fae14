"""What finding an id's row costs: the lookups of full tables alone, read at `id mod rows` and by an index.

    python -m benchmarks.training.index_lookup

ONNX Runtime on one thread, ids that all have a row, kinds in turns; times are the processor's, ratios medians over the
rounds. Also how long a directory of ten million ids takes to build, and what it weighs.
Prints tables and writes them with the raw results into `results/`.
"""

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import nn

from benchmarks.record import measured_on, record
from thimble.export.artifact.lookup_function import OPSET
from thimble.export.artifact.onnx_modules import for_export
from thimble.export.training.full_tables import set_keys, with_rows_for
from thimble.export.training.schema import OwnModel
from thimble.models.directory import fill
from thimble.models.hashing import ID_LIMIT, Int64s
from thimble.models.nn.registry import recommender

RESULTS = Path(__file__).parent / "results"
FIELDS, DIM = 26, 16
TABLE_ROWS = [1_000, 100_000]
BATCHES = [1, 32, 512]
ROUNDS = 21
LARGE = 10_000_000


def session(lookup: nn.Module) -> onnxruntime.InferenceSession:
    """Of the lookup alone, as it is in an artifact."""
    batch = {0: torch.export.Dim("batch")}
    ids = torch.zeros((2, FIELDS), dtype=torch.int64)
    program = torch.onnx.export(
        for_export(lookup).eval(),
        (ids,),
        input_names=["ids"],
        dynamic_shapes=(batch,),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    content = program.model_proto.SerializeToString()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def lookups(rows: int) -> tuple[dict[str, onnxruntime.InferenceSession], Int64s]:
    """A session of each kind, and the ids [rows, fields]."""
    ids = np.random.default_rng(0).integers(0, ID_LIMIT, (rows, FIELDS))
    names = [f"f{f}" for f in range(FIELDS)]
    own = OwnModel(dense=["x"], fields={"int": names}, scheme="full", embedding_dim=DIM)
    plain = own.spec(dict.fromkeys(names, rows))
    spec, keys = with_rows_for(plain, list(ids.T))
    model = recommender(spec)
    assert keys is not None
    set_keys(model, keys)
    return {"id mod rows": session(recommender(plain).sparse_arch), "index": session(model.sparse_arch)}, ids


def timed(one: onnxruntime.InferenceSession, ids: Int64s, times: int) -> float:
    """Seconds of the processor for one batch."""
    start = time.process_time()
    for _ in range(times):
        one.run(None, {"ids": ids})
    return (time.process_time() - start) / times


def measure(rows: int, batch: int, sessions: dict[str, onnxruntime.InferenceSession], ids: Int64s) -> dict[str, Any]:
    """One batch size: us of each kind, and their ratio."""
    random = np.random.default_rng(1)
    seconds: dict[str, list[float]] = {kind: [] for kind in sessions}
    for _ in range(ROUNDS):
        asked = ids[random.integers(0, rows, batch)]
        for kind, one in sessions.items():
            seconds[kind].append(timed(one, asked, max(2, 256 // batch)))
    before, after = seconds.values()
    return {
        "table_rows": rows,
        "batch": batch,
        "us": {kind: statistics.median(times) * 1e6 for kind, times in seconds.items()},
        "ratio": statistics.median(b / a for a, b in zip(before, after, strict=True)),
        "all_us": {kind: [round(time * 1e6, 1) for time in times] for kind, times in seconds.items()},
    }


def large() -> dict[str, Any]:
    """A directory of many ids of one field."""
    ids = np.random.default_rng(0).integers(0, ID_LIMIT, LARGE)
    start = time.process_time()
    directory, keys = fill([ids])
    return {
        "ids": LARGE,
        "seconds": time.process_time() - start,
        "bytes": keys.nbytes,
        "load": len(ids) / directory.places,
    }


def table(results: dict[str, Any]) -> str:
    """Markdown."""
    lines = ["| rows a table | batch | id mod rows, us | index, us | ratio |", "| --- | --- | --- | --- | --- |"]
    for one in results["lookups"]:
        mod, index = one["us"].values()
        lines.append(f"| {one['table_rows']:,} | {one['batch']} | {mod:.0f} | {index:.0f} | {one['ratio']:.2f} |")
    built = results["large"]
    return "\n".join(lines) + (
        f"\n\n{built['ids']:,} ids: built in {built['seconds']:.0f} s of one core, {built['bytes'] / 1e6:.0f} MB, "
        f"{built['load']:.1%} of the places taken\n"
    )


def main() -> None:
    found = []
    for rows in TABLE_ROWS:
        sessions, ids = lookups(rows)
        found += [measure(rows, batch, sessions, ids) for batch in BATCHES]
    results = {"measured_on": measured_on(), "lookups": found, "large": large()}
    record(RESULTS, "index_lookup", results, table(results))
    print(table(results))


if __name__ == "__main__":
    main()
