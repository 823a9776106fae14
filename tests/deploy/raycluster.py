"""A Ray cluster of several nodes on this machine, each of them processes of its own, and what Serve runs on it."""

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

# read when Ray is imported, here and in all that is started; who has the token may run anything on the cluster
os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}

import psutil
import ray
import yaml
from ray import serve

from testing.processes import free_port

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(sys.executable).parent
CONFIG = ROOT / "deploy" / "ray" / "serve.yaml"
PATIENCE_SECONDS = 120
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


class Node:
    """`ray start`, and all that it starts."""

    def __init__(self, log: Path, *flags: str) -> None:
        limits = ("--object-store-memory", str(80 << 20), "--dashboard-agent-listen-port", str(free_port()))
        command = [str(SCRIPTS / "ray"), "start", "--block", "--node-ip-address", "127.0.0.1", *limits, *flags]
        with log.open("w") as output:
            self._process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, env=ENVIRONMENT, start_new_session=True
            )

    def processes(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(self._process.pid)
            return [root, *root.children(recursive=True)]
        return []

    def kill(self) -> None:
        """As a machine that loses its power. Returns when all is gone."""
        processes = self.processes()
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()
        psutil.wait_procs(processes, timeout=PATIENCE_SECONDS)


class Cluster:
    """A head that runs no replicas, workers with room for one each, and the application as serve.yaml has it.

    What `application`, `deployment` and `environment` hold of that file may be changed before it is applied.
    """

    def __init__(self, folder: Path, repository: Path) -> None:
        self._folder = folder
        self.workers: list[Node] = []
        self.port, gcs = free_port(), free_port()
        self.address = f"127.0.0.1:{gcs}"
        head = ("--head", "--port", str(gcs), "--num-cpus", "0", "--include-dashboard", "false")
        places = ("--temp-dir", str(folder / "ray"), "--ray-client-server-port", str(free_port()))
        self._nodes = [Node(folder / "node-0.log", *head, *places)]
        self.config: dict[str, Any] = yaml.safe_load(CONFIG.read_text())
        self.config["http_options"]["port"] = self.port
        (self.application,) = self.config["applications"]
        (self.deployment,) = self.application["deployments"]
        self.environment: dict[str, str] = self.application["runtime_env"]["env_vars"]
        self.environment["THIMBLE_REPOSITORY"] = str(repository)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> None:
        """Reach the head, once it is there."""
        host, port = self.address.split(":")
        until(lambda: _listens(host, int(port)))
        ray.init(self.address, namespace="serve", log_to_driver=False, configure_logging=False)

    def add_worker(self) -> Node:
        """One more, which has joined. Nodes of one machine that start at once take each other's sockets."""
        there = _alive()
        log = self._folder / f"node-{len(self._nodes)}.log"
        self._nodes.append(Node(log, "--address", self.address, "--num-cpus", "1"))
        until(lambda: bool(_alive() - there))
        return self._nodes[-1]

    def apply(self) -> None:
        """Have Serve do as the configuration says, in its own time."""
        path = self._folder / "serve.yaml"
        path.write_text(yaml.safe_dump(self.config))
        command = [str(SCRIPTS / "serve"), "run", "--non-blocking", "--address", self.address, str(path)]
        done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def settled(self, replicas: int) -> bool:
        """Whether all is as it was applied, and so many replicas run."""
        deployments = serve.status().applications["thimble"].deployments
        if "Thimble" not in deployments:
            return False
        found = deployments["Thimble"]
        return bool(found.status == "HEALTHY" and found.replica_states == {"RUNNING": replicas})

    def replica_pids(self) -> set[int]:
        """Processes that run replicas."""
        found = (process for node in self._nodes for process in node.processes())
        return {process.pid for process in found if "ServeReplica" in _name(process)}

    def stop(self) -> None:
        """Nothing of it is left."""
        ray.shutdown()
        for node in reversed(self._nodes):
            node.kill()


@contextmanager
def running(folder: Path, repository: Path, workers: int) -> Iterator[Cluster]:
    """A cluster, stopped at the end."""
    cluster = Cluster(folder, repository)
    try:
        cluster.connect()
        cluster.workers = [cluster.add_worker() for _ in range(workers)]
        yield cluster
    finally:
        cluster.stop()


def until(condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> float:
    """Wait for something; returns how many seconds that took."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds
        time.sleep(0.1)
    return time.monotonic() - start


def _name(process: psutil.Process) -> str:
    with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return " ".join(process.cmdline())
    return ""


def _alive() -> set[str]:
    return {node["NodeID"] for node in ray.nodes() if node["Alive"]}


def _listens(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0
