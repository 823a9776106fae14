"""What Ray Serve costs: the same requests through its proxies and to thimble-serve.

    pip install -c constraints.txt -e '.[ray]'
    python -m benchmarks.deploy.rayserve

The demo model in one process on one core, which also has all of Ray's processes, and the client on the other. Rounds in
which each server is started, asked and stopped take turns, since Ray is busy also when it is not asked; medians count.
Ray Serve's own proxy is compared, and HAProxy in its place, which comes with Ray and asks the replicas directly.
"""

import argparse
import signal
import statistics
import sys
from collections import defaultdict
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.record import commit, record
from testing.load import Request, closed_loop
from testing.messages import MODEL, infer_binary, random_rows, single_rows
from testing.processes import free_port, pin_client, running
from thimble.loadtests.results.machine import this_machine

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).parent / "results"
CONNECTIONS = 16
HERE = [sys.executable, "-P", "-m", "benchmarks.deploy.rayserve", "--serve"]
SERVE = [str(Path(sys.executable).with_name("thimble-serve")), str(MODEL.parents[2]), "--device", "cpu", "--port"]
SERVERS: dict[str, tuple[list[str], dict[str, str]]] = {
    "thimble-serve": (SERVE, {}),
    "Ray Serve": (HERE, {}),
    "Ray Serve with HAProxy": (
        HERE,
        {"RAY_SERVE_ENABLE_HA_PROXY": "1", "RAY_SERVE_HAPROXY_NBTHREAD": "1", "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"},
    ),
}


def serve(port: int) -> None:
    """One replica behind a proxy, until SIGTERM."""
    import ray
    from ray import serve as ray_serve
    from ray.serve.config import HTTPOptions

    from deploy.ray.serving import deployment

    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=100 << 20, log_to_driver=False)
    ray_serve.start(http_options=HTTPOptions(host="127.0.0.1", port=port))
    replica = deployment.options(max_ongoing_requests=5000, logging_config={"enable_access_log": False})
    ray_serve.run(replica.bind(), route_prefix="/")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # Ray ends its processes at exit
    signal.pause()


def requests() -> dict[str, list[Request]]:
    """By what they are; of the first, some are golden rows, whose scores are checked."""
    return {
        "single rows, JSON": single_rows(),
        "64 rows, binary tensors": [infer_binary(random_rows(64, seed)) for seed in range(8)],
    }


def measure(rounds: int, seconds: float) -> dict[str, Any]:
    """For each kind of request and each server the summaries of all rounds."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    kinds = requests()
    env = {
        "PYTHONPATH": str(ROOT),
        "RAY_USAGE_STATS_ENABLED": "0",
        "THIMBLE_ACCESS_LOG": "false",
        "THIMBLE_REPOSITORY": str(MODEL.parents[2]),
    }
    for _ in range(rounds):
        for name, (command, more) in SERVERS.items():
            port = free_port()
            with running([*command, str(port)], port, "/readyz", {**env, **more}) as server:
                memory = server.memory()
                for kind, asked in kinds.items():
                    run = closed_loop(server.address, asked, CONNECTIONS, seconds, warmup=1)
                    summary = {"failures": run.failures, "memory_mib": round(memory.uss), **run.summary()}
                    found[kind][name].append({**summary, "processes": memory.processes})
    return found


def table(results: dict[str, Any]) -> str:
    """Markdown."""
    lines = [
        f"{results['machine']['processor']}; Ray {results['ray']}; {CONNECTIONS} connections, one core for the server; "
        f"medians of {results['rounds']} rounds; commit {results['commit']}.",
    ]
    for kind, servers in results["found"].items():
        lines += ["", f"| {kind} | rows/s | p50, ms | p99, ms | failed | MiB | processes |"]
        lines += ["| --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
        for name, runs in servers.items():
            rows = statistics.median(run["rows_per_second"] for run in runs)
            p50, p99 = (statistics.median(run["latency_ms"]["200"][p] for run in runs) for p in ("p50", "p99"))
            failed = sum(run["failures"] for run in runs)
            last = runs[-1]
            lines.append(
                f"| {name} | {rows:,.0f} | {p50:.1f} | {p99:.1f} | {failed} | {last['memory_mib']:,} | "
                f"{last['processes']} |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="What Ray Serve costs.")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--serve", type=int, metavar="PORT", help="be the server with Ray")
    arguments = parser.parse_args()
    if arguments.serve is not None:
        serve(arguments.serve)
        return
    pin_client()
    results = {
        "machine": this_machine().model_dump(),
        "commit": commit(),
        "ray": metadata.version("ray"),
        "rounds": arguments.rounds,
        "seconds": arguments.seconds,
        "found": measure(arguments.rounds, arguments.seconds),
    }
    record(RESULTS, "ray", results, table(results))
    print(table(results))


if __name__ == "__main__":
    main()
