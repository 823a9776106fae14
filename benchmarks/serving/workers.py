"""What workers weigh, and how evenly connections are shared between them.

    python -m benchmarks.serving.workers

Memory is the whole server's: proportional (shared pages counted once in all) and unshared, after each worker has
scored the largest batch; `model` is what the demo's engine adds to a process. Evenness is the requests that each
worker answered when 16 connections asked for as long.
"""

import argparse
from pathlib import Path
from typing import Any

import onnxruntime
import psutil

from benchmarks.record import processor, record
from benchmarks.serving.efficiency import THIMBLE
from testing.load import closed_loop
from testing.messages import MODEL, infer_binary, random_rows, score_json
from testing.processes import MIB, free_port, running
from thimble.ops.library import find_native_ops
from thimble.service.engine.artifact import read_artifact
from thimble.service.engine.engine import Engine

RESULTS = Path(__file__).parent / "results"
COUNTS = [1, 2, 4, 8]
CONNECTIONS = 16


def model_mib() -> float:
    """Unshared memory that the demo's engine, warmed up, adds to this process."""
    engines = [Engine(read_artifact(MODEL, 1 << 28), "cpu", threads=1, native=find_native_ops())]
    engines[0].warm_up()  # the first one pays for the runtime itself
    before = psutil.Process().memory_full_info().uss
    engines.append(Engine(read_artifact(MODEL, 1 << 28), "cpu", threads=1, native=find_native_ops()))
    engines[1].warm_up()
    return (psutil.Process().memory_full_info().uss - before) / MIB


def measure(workers: int) -> dict[str, Any]:
    port = free_port()
    command = [*THIMBLE, str(port), "--workers", str(workers)]
    with running(command, port, "/readyz") as server:
        closed_loop(server.address, [infer_binary(random_rows(256))], 4 * workers, 2)
        closed_loop(server.address, [score_json(random_rows(1))], CONNECTIONS, 3)
        tree = [psutil.Process(server.process.pid), *psutil.Process(server.process.pid).children(recursive=True)]
        infos = [process.memory_full_info() for process in tree]
        handled = [sum(process.cpu_times()[:2]) for process in tree[1:]]
    return {
        "workers": workers,
        "processes": len(tree),
        "proportional_mib": round(sum(info.pss for info in infos) / MIB, 1),
        "unshared_mib": round(sum(info.uss for info in infos) / MIB, 1),
        "cpu_seconds": [round(seconds, 2) for seconds in handled],
    }


def table(results: dict[str, Any]) -> str:
    """Markdown."""
    first = results["servers"][0]["proportional_mib"]
    lines = [
        f"{results['processor']['name']}, ONNX Runtime {results['runtime']}; the demo's engine adds "
        f"{results['model_mib']} MiB to a process.",
        "",
        "| workers | memory, MiB | for each worker more, MiB | unshared, MiB | CPU seconds of each worker |",
        "| ---: | ---: | ---: | ---: | --- |",
    ]
    for row in results["servers"]:
        more = f"{(row['proportional_mib'] - first) / (row['workers'] - 1):.1f}" if row["workers"] > 1 else ""
        lines.append(
            f"| {row['workers']} | {row['proportional_mib']} | {more} | {row['unshared_mib']} | "
            f"{' '.join(map(str, row['cpu_seconds']))} |"
        )
    return "\n".join(lines)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    results = {
        "processor": processor(),
        "runtime": onnxruntime.__version__,
        "model_mib": round(model_mib(), 1),
        "servers": [measure(workers) for workers in COUNTS],
    }
    record(RESULTS, "workers", results, table(results))
    print(table(results))


if __name__ == "__main__":
    main()
