"""Whether the time of a wrong key tells how much of it is right, and what keys cost.

    python -m benchmarks.operations.key_timing

Wrong keys of the right length whose first 0, 1, half, and all but one characters are right; a second key of which none
is right shows what chance alone does. Every round asks with each once, in an order drawn anew, and differences are
taken within the round, to the key of which none is right: their median, and its 95 % interval by bootstrap over rounds.

- The check alone, `Keys.check`, of several runs a round. The same bench with a check that stops at the first wrong
  character shows what it could see.
- Whole requests: from the last byte sent to the first byte of the 401, each on a connection of its own, as the server
  closes after a refusal.

The cost is the server's CPU time for a single row as JSON over 16 connections, with keys and without, in turn: the
median of the rounds' ratios. CPU time says more than a rate where the core does other work as well.
"""

import argparse
import os
import socket
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from benchmarks.record import processor, record
from benchmarks.serving.efficiency import THIMBLE
from testing.load import Address, closed_loop
from testing.messages import JSON_HEADERS, features, post, random_rows
from testing.processes import Server, free_port, pin_client, running
from thimble.models.features import Batch
from thimble.service.errors import RequestError
from thimble.service.http.headers import Headers
from thimble.service.http.keys import Keys
from thimble.service.settings import API_KEYS, Settings

RESULTS = Path(__file__).parent / "results"
# The key that is nearly guessed comes first: a search that ended early would end there.
KEYS = ["mVh3kq8ZtR5wXy2LpD7sNc4JbG9fTa6E", *(f"another-key-of-several-{i:09d}" for i in range(7))]
RIGHT = KEYS[0]
NONE = "0 right"
GUESSES = {
    NONE: "!" * len(RIGHT),
    "0 right, another": "?" * len(RIGHT),
    "1 right": RIGHT[0] + "!" * (len(RIGHT) - 1),
    "half right": RIGHT[: len(RIGHT) // 2] + "!" * (len(RIGHT) // 2),
    "all but one right": RIGHT[:-1] + "!",
}
CHECKS_A_ROUND = 50
RESAMPLES = 2000
CONNECTIONS, SECONDS = 16, 0.25
Doubles = npt.NDArray[np.float64]


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def interleaved(ask: Callable[[str], float], rounds: int) -> dict[str, Doubles]:
    """Seconds that each guess took, float64 [rounds]."""
    order, rng = list(GUESSES), np.random.default_rng(0)
    found: dict[str, Doubles] = {name: np.empty(rounds) for name in GUESSES}
    for i in range(-10, rounds):
        rng.shuffle(order)
        for name in order:
            seconds = ask(name)
            if i >= 0:  # the first rounds warm up
                found[name][i] = seconds
    return found


def summary(found: Mapping[str, Doubles]) -> dict[str, dict[str, float | list[float]]]:
    """Nanoseconds: the median of each guess, and of its difference to one of which no character is right."""
    rng = np.random.default_rng(1)
    summed: dict[str, dict[str, float | list[float]]] = {}
    for name, seconds in found.items():
        summed[name] = {"median_ns": round(float(np.median(seconds)) * 1e9, 1)}
        if name != NONE:
            differences = (seconds - found[NONE]) * 1e9
            resampled = [np.median(rng.choice(differences, len(differences))) for _ in range(RESAMPLES)]
            summed[name] |= {
                "difference_ns": round(float(np.median(differences)), 1),
                "interval_ns": [round(float(q), 1) for q in np.percentile(resampled, [2.5, 97.5])],
            }
    return summed


def checks(rounds: int) -> dict[str, Any]:
    """The check alone, and one that stops at the first wrong character."""
    os.environ[API_KEYS] = ",".join(KEYS)
    keys = Keys(Settings())
    del os.environ[API_KEYS]
    headers: dict[str, Headers] = {name: {b"authorization": f"Bearer {key}".encode()} for name, key in GUESSES.items()}

    def check(name: str) -> None:
        try:
            keys.check(headers[name])
        except RequestError:
            return
        raise RuntimeError(f"{name} was let in")

    def naive(name: str) -> None:
        for ours, theirs in zip(RIGHT, GUESSES[name], strict=True):
            if ours != theirs:
                return

    def timed(run: Callable[[str], None]) -> Callable[[str], float]:
        def ask(name: str) -> float:
            start = time.perf_counter()
            for _ in range(CHECKS_A_ROUND):
                run(name)
            return (time.perf_counter() - start) / CHECKS_A_ROUND

        return ask

    return {
        "check": summary(interleaved(timed(check), rounds)),
        "stops at the first wrong character": summary(interleaved(timed(naive), rounds)),
    }


def refusals(address: Address, rounds: int) -> dict[str, Any]:
    """Whole requests, from the last byte sent to the first received."""
    requests = {name: post("/v1/score", b"", bearer(key)).wire for name, key in GUESSES.items()}

    def ask(name: str) -> float:
        with socket.create_connection(address, timeout=30) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            time.sleep(0.0005)  # until the server has taken the connection
            connection.sendall(requests[name])
            start = time.perf_counter()
            answer = connection.recv(4096)
            seconds = time.perf_counter() - start
        if not answer.startswith(b"HTTP/1.1 401 "):
            raise RuntimeError(f"{name}: {answer!r}")
        return seconds

    return summary(interleaved(ask, rounds))


def cpu_seconds(server: Server) -> float:
    """That a server has run so far, all its threads together, to the nanosecond."""
    threads = Path(f"/proc/{server.process.pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def cost(guarded: Server, free: Server, rounds: int) -> dict[str, Any]:
    """CPU time of the server for a request, with keys and without; the bytes that are sent are the same."""
    rows = random_rows(256)
    requests = []
    for i in range(256):
        body = orjson.dumps({"features": features(Batch(rows.dense[i : i + 1], rows.ids[i : i + 1]))})
        requests.append(post("/v1/score", body, JSON_HEADERS | bearer(RIGHT)))
    spent: dict[str, list[float]] = {"keys": [], "none": []}
    for i in range(rounds):
        sides = [("keys", guarded), ("none", free)]
        for name, server in sides if i % 2 else reversed(sides):
            before = cpu_seconds(server)
            run = closed_loop(server.address, requests, CONNECTIONS, SECONDS, warmup=0)
            if run.failures:
                raise RuntimeError(f"{name}: {run.counts}")
            spent[name].append((cpu_seconds(server) - before) / len(run.status))
    ratios = [with_keys / without for with_keys, without in zip(spent["keys"], spent["none"], strict=True)]
    return {
        "cpu_us_a_request": {name: round(statistics.median(found) * 1e6, 1) for name, found in spent.items()},
        "ratio": round(statistics.median(ratios), 4),
        "quartiles": [round(float(q), 4) for q in np.percentile(ratios, [25, 75])],
        "ratios": [round(ratio, 4) for ratio in ratios],
    }


def table(results: dict[str, Any]) -> str:
    """Markdown."""
    lines = [
        f"{results['processor']['name']}; {len(KEYS)} keys of {len(RIGHT)} characters; {results['rounds']} rounds of "
        f"each. Differences are to a key of which no character is right, with 95 % intervals.",
        "",
        "| | " + " | ".join(f"{name}, ns" for name in results["timing"]) + " |",
        "| --- |" + " ---: |" * len(results["timing"]),
    ]
    for name in GUESSES:
        cells = []
        for found in results["timing"].values():
            one = found[name]
            if name == NONE:
                cells.append(f"{one['median_ns']:,.0f}")
            else:
                low, high = one["interval_ns"]
                cells.append(f"{one['difference_ns']:+,.0f} ({low:+,.0f} to {high:+,.0f})")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    paid = results["cost"]
    low, high = paid["quartiles"]
    lines += [
        "",
        f"A single row as JSON over {CONNECTIONS} connections: {paid['cpu_us_a_request']['keys']:,.0f} us of the "
        f"server's CPU time with {len(KEYS)} keys, {paid['cpu_us_a_request']['none']:,.0f} without; the ratio is "
        f"{paid['ratio']:.3f} (quartiles of {len(paid['ratios'])} rounds {low:.3f} and {high:.3f}).",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3000, help="of timings")
    parser.add_argument("--cost-rounds", type=int, default=120)
    arguments = parser.parse_args()
    pin_client()
    ports = [free_port(), free_port()]
    with (
        running([*THIMBLE, str(ports[0])], ports[0], "/readyz", {API_KEYS: ",".join(KEYS)}) as guarded,
        running([*THIMBLE, str(ports[1])], ports[1], "/readyz") as free,
    ):
        timing = checks(arguments.rounds) | {"whole request": refusals(guarded.address, arguments.rounds)}
        paid = cost(guarded, free, arguments.cost_rounds)
    results = {"processor": processor(), "rounds": arguments.rounds, "timing": timing, "cost": paid}
    record(RESULTS, "keys", results, table(results))
    print(table(results))


if __name__ == "__main__":
    main()
