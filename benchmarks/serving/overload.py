"""Requests of 64 rows offered at three times what one core can serve, for a minute.

    python -m benchmarks.serving.overload [MODEL.onnx]

The demo, whose MLPs are int8, or another file over the same features. `thimble-export export runs/criteo-tb`, after the
training command in benchmarks/precision/compare.py, writes one with float32 MLPs, which serve fewer rows and so refuse
fewer. Scores are checked where it is the demo.

Capacity and its 99th percentile come from a closed loop whose requests bring no timeout; it is measured before and
after, and the mean counts. The overload is an open loop at an even pace: latencies count from when a request was due.
"Back to normal" is the first second after it, at half of capacity. One core for the server, one for the client. Of
several rounds, each with a server of its own, the medians count.
"""

import argparse
import statistics
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.record import processor, record
from benchmarks.serving.efficiency import FLAGS, SERVE
from testing.load import Run, closed_loop, open_loop
from testing.messages import MODEL, golden_rows, infer_binary, random_rows
from testing.processes import Server, free_port, pin_client, running
from thimble.models.features import Batch

RESULTS = Path(__file__).parent / "results"
ROWS, CAPACITY_CONNECTIONS, MAX_CONNECTIONS, FACTOR = 64, 8, 256, 3
QUEUED_ROWS = 512
GOALS = {
    "goodput / capacity": "at least 0.95",
    "p99 answered / p99 at capacity": "at most 2",
    "99th percentile of a refusal, ms": "at most 10",
    "memory after / before": "flat",
    "p99 in the second after / before": "normal",
}


class Memory(threading.Thread):
    """Resident memory of a server, MiB, twice a second until it is stopped."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self.samples: list[float] = []
        self._server = server
        self._stop_asked = threading.Event()

    def run(self) -> None:
        while not self._stop_asked.wait(0.5):
            self.samples.append(round(self._server.memory().rss, 1))

    def stop(self) -> list[float]:
        self._stop_asked.set()
        self.join()
        return self.samples


def measure(model: Path, seconds: float) -> dict[str, Any]:
    name, port = model.parts[-3], free_port()
    golden, scores = golden_rows(model)
    full = Batch(np.tile(golden.dense, (2, 1)), np.tile(golden.ids, (2, 1)))
    requests = [
        infer_binary(full, np.tile(scores, 2), name),
        *(infer_binary(random_rows(ROWS, seed), model=name) for seed in range(31)),
    ]
    command: list[str | Path] = [SERVE, model, *FLAGS, str(port), "--max-queued-rows", str(QUEUED_ROWS)]
    with running(command, port, "/readyz") as server:

        def capacity() -> Run:
            return closed_loop(server.address, requests, CAPACITY_CONNECTIONS, seconds / 4)

        closed_loop(server.address, requests, CAPACITY_CONNECTIONS, 3)
        before = capacity()
        rate = before.requests_per_second
        calm = open_loop(server.address, requests, rate / 2, 5, MAX_CONNECTIONS, "even")
        memory = Memory(server)
        memory.start()
        overload = open_loop(server.address, requests, FACTOR * rate, seconds, MAX_CONNECTIONS, "even")
        ended = time.perf_counter()
        recovery = open_loop(server.address, requests, rate / 2, 1, MAX_CONNECTIONS, "even", warmup=0)
        after = capacity()
        samples = memory.stop()
    for run in (before, calm, overload, recovery, after):
        if run.wrong:
            raise RuntimeError(f"{run.wrong} answers were wrong")
    goodput = statistics.mean([before.rows_per_second, after.rows_per_second])
    p99 = statistics.mean([before.percentile(99), after.percentile(99)])
    return {
        "ratios": {
            "goodput / capacity": overload.rows_per_second / goodput,
            "p99 answered / p99 at capacity": overload.percentile(99) / p99,
            "99th percentile of a refusal, ms": overload.percentile(99, 429) * 1e3,
            "memory after / before": samples[-1] / samples[0],
            "p99 in the second after / before": recovery.percentile(99) / calm.percentile(99),
        },
        "runs": {
            "capacity before": before.summary(),
            "half of capacity": calm.summary(),
            "overload": overload.summary(),
            "the second after, half of capacity": recovery.summary(),
            "capacity after": after.summary(),
        },
        "memory_mib": samples,
        "recovery_began_after_s": time.perf_counter() - ended,
    }


def table(results: dict[str, Any]) -> str:
    """Markdown."""
    rounds = results["rounds"]
    shown = sorted(rounds, key=lambda it: it["ratios"]["goodput / capacity"])[len(rounds) // 2]
    lines = [
        f"{results['processor']['name']}, ONNX Runtime {results['runtime']}; {results['model']}, requests of "
        f"{ROWS} rows, --max-queued-rows {QUEUED_ROWS}, one core for the server, one for the client. Of {len(rounds)} "
        f"rounds, the one whose goodput is the median:",
        "",
        "| | requests/s offered | answered 200 | refused 429 | other | p50, ms | p99, ms | p99 of a refusal, ms |",
        "| --- |" + " ---: |" * 7,
    ]
    for name, run in shown["runs"].items():
        counts = {int(status): count / run["seconds"] for status, count in run["counts"].items()}
        ok, refused = counts.pop(200, 0), counts.pop(429, 0)
        latency = run["latency_ms"]
        offered = run["offered_requests_per_second"]
        cells = [
            "as fast as answered" if offered is None else f"{offered:,.0f}",
            f"{ok:,.0f}",
            f"{refused:,.0f}",
            f"{sum(counts.values()):,.0f}",
            *(f"{latency['200'][p]:.1f}" for p in ("p50", "p99")),
            f"{latency['429']['p99']:.1f}" if "429" in latency else "",
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    memory = shown["memory_mib"]
    lines += [
        "",
        f"Resident memory: {memory[0]} MiB when it began, {max(memory)} at most, {memory[-1]} at the end.",
        "",
    ]
    lines += [f"| | median of {len(rounds)} rounds | each | goal |", "| --- | ---: | --- | ---: |"]
    for name, goal in GOALS.items():
        each = [it["ratios"][name] for it in rounds]
        shown_each = ", ".join(f"{value:.2f}" for value in each)
        lines.append(f"| {name} | {statistics.median(each):.2f} | {shown_each} | {goal} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", default=MODEL)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    pin_client()
    name = arguments.model.parts[-3]
    rounds = [measure(arguments.model, arguments.seconds) for _ in range(arguments.rounds)]
    results = {"processor": processor(), "runtime": onnxruntime.__version__, "model": name, "rounds": rounds}
    record(RESULTS, f"overload-{name}", results, table(results))
    print(table(results))


if __name__ == "__main__":
    main()
