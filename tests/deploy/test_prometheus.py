"""promtool, and Prometheus itself, over the rules and the dashboard."""

import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import httpx
import pytest
import yaml

from testing.artifacts import write_artifact
from testing.samples import small_spec
from testing.servers import running
from tests.deploy.manifests import ROOT
from tests.deploy.monitoring import RULES, questions

BUILD = ROOT / "build" / "prometheus"
SCRAPES = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs:
  - job_name: thimble
    static_configs: [{{targets: ["{target}"]}}]
"""
ADMIN = "the-key-of-those-on-call"
SECONDS = 60


def tool(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:{BUILD / 'usr' / 'bin'}")


@pytest.fixture(scope="module")
def promtool() -> str:
    found = tool("promtool")
    if found is None:
        pytest.skip("promtool is not installed; Debian has it in prometheus, which make proofs unpacks into build/")
    return found


@pytest.fixture(scope="module")
def prometheus() -> str:
    """Debian's, unpacked where it is not installed."""
    if (sys.platform, platform.machine()) == ("linux", "x86_64") and tool("prometheus") is None:
        BUILD.mkdir(parents=True, exist_ok=True)
        for command in ("apt-get download prometheus", "dpkg-deb --extract prometheus_*.deb ."):
            done = subprocess.run(["sh", "-c", command], cwd=BUILD, capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"{command}: {done.stderr.strip()[-300:]}")
    found = tool("prometheus")
    if found is None:
        pytest.skip("Prometheus is not installed")
    return found


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_takes_the_rules_and_they_call_when_they_should(promtool: str) -> None:
    run(promtool, "check", "rules", RULES)
    assert "SUCCESS" in run(promtool, "test", "rules", RULES.with_name("rules.test.yml"))


def test_promtool_takes_what_the_dashboard_asks(promtool: str, tmp_path: Path) -> None:
    expressions = [expr for asked in questions().values() for expr in asked]
    asked = [{"record": f"dashboard:{number}", "expr": expr} for number, expr in enumerate(expressions)]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": asked}]}))
    assert f"{len(asked)} rules found" in run(promtool, "check", "rules", tmp_path / "rules.yml")


@contextmanager
def scraping(prometheus: str, url: httpx.URL, folder: Path) -> Iterator[httpx.Client]:
    """A Prometheus with the rules, that looks at a server once a second."""
    (folder / "prometheus.yml").write_text(SCRAPES.format(rules=RULES, target=f"{url.host}:{url.port}"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    flags = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([prometheus, *flags, f"--web.listen-address={address}"], stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://{address}/api/v1", timeout=30) as client:
            yield client
    finally:
        process.terminate()
        process.wait()


@pytest.mark.proof
def test_every_panel_shows_something_of_a_real_server(prometheus: str, tmp_path: Path) -> None:
    spec = small_spec(kinds=("string", "string", "int", "hex"))
    for version in (1, 2, 3):
        write_artifact(spec, tmp_path / "models", "m", version, seed=version)
    key = {"Authorization": f"Bearer {ADMIN}"}
    with (
        running(tmp_path / "models", env={"THIMBLE_ADMIN_KEYS": ADMIN}) as server,
        httpx.Client(base_url=server.url, headers=key, timeout=30) as client,
        scraping(prometheus, client.base_url, tmp_path) as asked,
    ):
        release = {"live": 1, "canary": {"version": 3, "weight": 0.3}, "shadow": {"version": 2}}
        assert client.put("/v1/models/m/release", json=release).status_code == 200
        end = monotonic() + SECONDS
        while missing := unanswered(asked):
            assert monotonic() < end, (missing, (tmp_path / "log").read_text()[-2000:])
            for _ in range(50):
                assert client.post("/v1/score", json={"features": {"d0": [1, 2, 3]}}).status_code == 200
            assert client.post("/v1/score", content=b"{").status_code == 400


def unanswered(prometheus: httpx.Client) -> list[str]:
    """Panels without any series, and rules that have not been evaluated, or could not be."""
    try:
        found = prometheus.get("/rules").json()["data"]["groups"]
        missing = [rule["name"] for group in found for rule in group["rules"] if rule["health"] != "ok"]
        for title, expressions in questions().items():
            answers = [prometheus.get("/query", params={"query": expr}).json() for expr in expressions]
            assert all(answer["status"] == "success" for answer in answers), answers
            if not any(answer["data"]["result"] for answer in answers):
                missing.append(title)
    except httpx.ConnectError:
        return ["Prometheus is still starting"]
    return missing
