"""Nothing is left of what is gone: no series of versions, no files of workers."""

import os
import signal
from pathlib import Path

import httpx
import psutil
import pytest

from testing.conditions import until
from testing.servers import Server, running
from tests.service.releases.operator import ADMIN, answers, bring, put
from tests.service.telemetry.test_metrics import samples

# An hour that a test can wait for.
SHORT = """
import thimble.service.telemetry.series
thimble.service.telemetry.series.KEPT_SECONDS = 1.0
"""


def versions_in_metrics(server: Server) -> set[str]:
    return {dict(labels)["version"] for _, labels in samples(server.url) if {"model", "version"} <= dict(labels).keys()}


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_series_of_a_version_go_after_it(repository: Path, versions: Path, tmp_path: Path, workers: str) -> None:
    patch = tmp_path / "patch"
    patch.mkdir()
    (patch / "sitecustomize.py").write_text(SHORT)
    bring(repository, versions, 2, 3)
    env = {"THIMBLE_ADMIN_KEYS": ADMIN, "PYTHONPATH": f"{patch}:."}
    with (
        running(repository, "--workers", workers, env=env) as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):
        for version in (1, 2, 3):  # of which the one before stays loaded, and that before it does not
            assert put(client, live=version).status_code == 200
            assert answers(client) == version
        shadowed = put(client, live=3, shadow={"version": 1})
        assert shadowed.status_code == 200, shadowed.text
        assert answers(client) == 3
        until(lambda: any("thimble_shadow_rows" in name for name, _ in samples(server.url)))
        assert put(client, live=3).status_code == 200
        until(lambda: versions_in_metrics(server) == {"2", "3"})
        found = samples(server.url)
        assert found["thimble_request_seconds_count", (("model", "m"), ("status", "200"), ("version", "3"))] == 2
        assert found["thimble_release_changes_total", (("model", "m"), ("outcome", "released"))] >= 3
        assert put(client, live=1).status_code == 200  # it comes back, and begins anew
        assert answers(client) == 1
        found = samples(server.url)
        assert found["thimble_request_seconds_count", (("model", "m"), ("status", "200"), ("version", "1"))] == 1


def test_workers_that_die_leave_no_files_and_what_they_counted(repository: Path, tmp_path: Path) -> None:
    env = {"TMPDIR": str(tmp_path)}
    with running(repository, "--workers", "2", env=env) as server:

        def files() -> set[str]:
            return {path.name for path in tmp_path.glob("thimble-metrics-*/*")}

        def scored() -> float:
            return samples(server.url)["thimble_request_seconds_count", labels]

        labels = (("model", "m"), ("status", "200"), ("version", "1"))
        for _ in range(4):  # each worker in turn
            assert httpx.post(f"{server.url}/v1/score", json={"features": {"d0": 1.0}}).status_code == 200
        until(lambda: scored() == 4)  # what is answered is counted afterwards
        before = files()
        supervisor = psutil.Process(server.process.pid)
        for deaths in (1, 2):
            victim = min(process.pid for process in supervisor.children())
            os.kill(victim, signal.SIGKILL)
            server.wait_for_line(f"worker {victim} died")
            until(lambda: len(supervisor.children()) == 2 and files() == before)
            assert scored() == 4
            found = samples(server.url)
            assert found["thimble_worker_deaths_total", ()] == deaths
    assert not files()
