"""What serving costs beside the model itself, on one core for the server, the client on another.

    python -m benchmarks.serving.efficiency

- Binary requests of 256 rows against the same engine called in its own process with batches of 256.
- Single rows as JSON over 16 connections, against a plain FastAPI, pydantic and ONNX Runtime endpoint on the same file
  (`rivals/plain.py`), with uvicorn as `pip install uvicorn` brings it and with uvloop and httptools, which Thimble uses
  too; and against what an empty endpoint on the same server would reach if it paid for the model's time as well:
  1 / (1 / empty + seconds a row in batches of 16), both measured here.
- The same single rows with the server exactly as `make run` starts it, access log on, whose lines go to a file.

Every round measures each once, in turn; the ratio of each round is taken, and the median of the rounds counts.
"""

import argparse
import os
import statistics
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import onnxruntime

from benchmarks.record import ROOT, processor, record
from testing.load import Request, Run, closed_loop
from testing.messages import MODEL, golden_rows, infer_binary, plain_json, random_rows, score_json
from testing.processes import SERVER_CORE, free_port, pin_client, running
from thimble.models.features import Batch

RESULTS = Path(__file__).parent / "results"
PYTHON = sys.executable
SERVE = Path(PYTHON).with_name("thimble-serve")
FLAGS = ["--threads", "1", "--no-access-log", "--port"]
THIMBLE: list[str | Path] = [SERVE, MODEL, *FLAGS]
AS_RUN: list[str | Path] = [SERVE, MODEL.parents[2], "--host", "127.0.0.1", "--port"]
BATCH, CONNECTIONS = 256, 16
GOALS = {
    "binary / in process": "0.95",
    "single rows / plain endpoint, asyncio and h11": "4.5",
    "single rows / plain endpoint, uvloop and httptools": "",
    "single rows / empty and model": "0.6",
    "single rows, as make run / without a log": "0.93",
}


class InProcess:
    """The engine alone, on the server's core."""

    def __init__(self) -> None:
        command = ["taskset", "-c", str(SERVER_CORE), PYTHON, "-P", "-m", "benchmarks.serving.inprocess"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def rows_per_second(self, rows: int, seconds: float) -> float:
        assert self._process.stdin and self._process.stdout
        print(rows, seconds, file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


def singles(form: Any) -> list[Request]:
    """Single rows, every 32nd with its score to be checked."""
    golden, scores = golden_rows()
    checked = [form(Batch(golden.dense[i : i + 1], golden.ids[i : i + 1]), scores[i : i + 1]) for i in range(8)]
    random = random_rows(248)
    plain = [form(Batch(random.dense[i : i + 1], random.ids[i : i + 1])) for i in range(248)]
    return [request for i in range(8) for request in (checked[i], *plain[31 * i : 31 * i + 31])]


def measure(rounds: int, seconds: float) -> list[dict[str, float]]:
    """Rows a second of every contestant, round after round."""
    found: list[dict[str, float]] = []
    ports = [free_port() for _ in range(5)]
    plain = [PYTHON, "-P", "-m", "benchmarks.serving.rivals.plain"]
    commands: list[list[str | Path]] = [
        [*THIMBLE, str(ports[0])],
        [*plain, str(ports[1]), "h11"],
        [*plain, str(ports[2]), "httptools"],
        [PYTHON, "-P", "-m", "benchmarks.serving.empty", str(ports[3])],
        [*AS_RUN, str(ports[4])],
    ]
    binary = [infer_binary(random_rows(BATCH, seed)) for seed in range(16)]
    ours, theirs = singles(score_json), singles(plain_json)
    unchecked = [Request(request.wire, request.rows) for request in ours]
    with ExitStack() as stack:
        paths = ["/readyz", "/healthz", "/healthz", "/", "/readyz"]
        thimble, h11, httptools, empty, as_run = (
            stack.enter_context(running(command, port, path)).address
            for command, port, path in zip(commands, ports, paths, strict=True)
        )
        engine = stack.enter_context(closing(InProcess()))
        engine.rows_per_second(BATCH, 1)
        for number in range(rounds):
            row = {
                "in process, 256": engine.rows_per_second(BATCH, seconds),
                "binary, 256": _right(closed_loop(thimble, binary, 2, seconds)),
                "single rows": _right(closed_loop(thimble, ours, CONNECTIONS, seconds)),
                "single rows, as make run": _right(closed_loop(as_run, ours, CONNECTIONS, seconds)),
                "plain endpoint, asyncio and h11": _right(closed_loop(h11, theirs, CONNECTIONS, seconds)),
                "plain endpoint, uvloop and httptools": _right(closed_loop(httptools, theirs, CONNECTIONS, seconds)),
                "empty endpoint": _right(closed_loop(empty, unchecked, CONNECTIONS, seconds)),
                "in process, 16": engine.rows_per_second(CONNECTIONS, seconds),
            }
            row["empty and model"] = 1 / (1 / row["empty endpoint"] + 1 / row["in process, 16"])
            found.append(row)
            print(number + 1, {name: round(value) for name, value in row.items()}, file=sys.stderr)
    return found


def _right(run: Run) -> float:
    if run.failures:
        raise RuntimeError(f"answers were wrong or missing: {run.summary()}")
    return run.rows_per_second


def ratios(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Medians of the rounds' ratios."""
    pairs = {
        "binary / in process": ("binary, 256", "in process, 256"),
        "single rows / plain endpoint, asyncio and h11": ("single rows", "plain endpoint, asyncio and h11"),
        "single rows / plain endpoint, uvloop and httptools": ("single rows", "plain endpoint, uvloop and httptools"),
        "single rows / empty and model": ("single rows", "empty and model"),
        "single rows, as make run / without a log": ("single rows, as make run", "single rows"),
    }
    return {name: statistics.median(row[a] / row[b] for row in rounds) for name, (a, b) in pairs.items()}


def table(results: dict[str, Any]) -> str:
    """Markdown."""
    rounds = results["rounds"]
    lines = [
        f"{results['processor']['name']}, ONNX Runtime {results['runtime']}, one core for the server, one for the "
        f"client; {len(rounds)} rounds.",
        "",
        "| | rows/s, median | lowest | highest |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name in rounds[0]:
        values = [row[name] for row in rounds]
        lines.append(f"| {name} | {statistics.median(values):,.0f} | {min(values):,.0f} | {max(values):,.0f} |")
    lines += ["", "| compared | median of the rounds' ratios | goal |", "| --- | ---: | ---: |"]
    lines += [f"| {name} | {value:.2f} | {GOALS[name]} |" for name, value in results["ratios"].items()]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=3)
    arguments = parser.parse_args()
    os.environ["PYTHONPATH"] = str(ROOT)  # where children find this folder
    pin_client()
    rounds = measure(arguments.rounds, arguments.seconds)
    results = {
        "processor": processor(),
        "runtime": onnxruntime.__version__,
        "seconds": arguments.seconds,
        "ratios": ratios(rounds),
        "rounds": rounds,
    }
    record(RESULTS, "efficiency", results, table(results))
    print(table(results))


if __name__ == "__main__":
    main()
