"""How many threads should a model have, and should they spin while they wait?

    python -m benchmarks.serving.threads

The demo in its own process on two cores: one thread, two that sleep and two that spin, alone and beside a process that
keeps one core busy, as a second worker or another model does. Variants take turns, and the median of the rounds counts.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.record import processor, record
from testing.messages import MODEL, random_rows
from thimble.ops.library import find_native_ops

RESULTS = Path(__file__).parent / "results"
VARIANTS = {"1 thread": (1, "0"), "2 threads, sleeping": (2, "0"), "2 threads, spinning": (2, "1")}
BATCHES = [1, 16, 64, 256]
ROUND_SECONDS = 0.3


def session(threads: int, spinning: str) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", spinning)
    if native := find_native_ops():
        options.register_custom_ops_library(str(native.path))
    return onnxruntime.InferenceSession(MODEL, options, providers=["CPUExecutionProvider"])


@contextmanager
def neighbour(busy: bool) -> Iterator[None]:
    """A process that keeps a core busy."""
    if not busy:
        yield
        return
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def measure(rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Rows a second: alone or beside a busy process, variant, batch."""
    sessions = {name: session(*settings) for name, settings in VARIANTS.items()}
    found: dict[str, dict[str, dict[str, float]]] = {}
    for title, busy in (("alone", False), ("beside a busy process", True)):
        times: dict[tuple[str, int], list[float]] = {}
        with neighbour(busy):
            for _ in range(rounds + 1):
                for name, running in sessions.items():
                    for rows in BATCHES:
                        times.setdefault((name, rows), []).append(_rows_per_second(running, rows))
        found[title] = {
            name: {str(rows): round(statistics.median(times[name, rows][1:]), 1) for rows in BATCHES}
            for name in sessions
        }
    return found


def _rows_per_second(running: Any, rows: int) -> float:
    feeds = {name: np.ascontiguousarray(array) for name, array in random_rows(rows)._asdict().items()}
    runs, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < ROUND_SECONDS:
        running.run(None, feeds)
        runs += 1
    return runs * rows / passed


def table(results: dict[str, Any]) -> str:
    """Markdown."""
    lines = [
        f"{results['processor']['name']}, {results['cores']} cores, ONNX Runtime {results['runtime']}. Rows a second.",
        "",
        "| | threads | " + " | ".join(f"batch {rows}" for rows in BATCHES) + " |",
        "| --- | --- |" + " ---: |" * len(BATCHES),
    ]
    for title, variants in results["rows_per_second"].items():
        for name, speeds in variants.items():
            lines.append(f"| {title} | {name} | " + " | ".join(f"{speeds[str(r)]:,.0f}" for r in BATCHES) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    results = {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "runtime": onnxruntime.__version__,
        "rows_per_second": measure(parser.parse_args().rounds),
    }
    record(RESULTS, "threads", results, table(results))
    print(table(results))


if __name__ == "__main__":
    main()
