"""What docker compose up brings up, under load."""

import httpx
import pytest

from testing.docker import ROW, Stack, docker, loaded, outcome, scores, wait_for

pytestmark = [pytest.mark.image, pytest.mark.timeout(600)]

RATE = 100.0


def test_the_proxy_passes_scores_and_errors_on(deployment: Stack) -> None:
    answer = httpx.post(f"{deployment.url}/v1/score", json=ROW)
    assert answer.status_code == 200 and answer.json()["model"] == "demo"
    answer = httpx.post(f"{deployment.url}/v1/score", json={"features": {"C1": "xyz"}})
    assert (answer.status_code, answer.json()) == (400, {"error": "C1: 'xyz' is not a hexadecimal token"})
    assert "Prometheus" in httpx.get(f"{deployment.url}/metrics").json()["error"]


def test_prometheus_sees_every_replica(deployment: Stack) -> None:
    wait_for(lambda: deployment.scraped() == 3, "three replicas scraped")


def test_a_killed_replica_costs_no_request(deployment: Stack) -> None:
    with loaded(deployment, RATE) as runs:
        wait_for(lambda: len(runs) >= 1, "load")
        killed = deployment.replicas()[0]
        docker("kill", killed)
        after = len(runs)
        wait_for(lambda: len(runs) >= after + 3, "load after it")
        docker("start", killed)
        wait_for(lambda: len(runs) >= after + 5, "load when it is back")
    assert outcome(runs)["failed"] == 0


def test_a_rollout_costs_no_request(deployment: Stack) -> None:
    before = deployment.replicas()
    with loaded(deployment, RATE) as runs:
        deployment.roll()
    after = deployment.replicas()
    assert len(after) == len(before) and not set(after) & set(before)
    assert outcome(runs)["failed"] == 0


def test_a_new_version_is_served_by_all(deployment: Stack) -> None:
    with loaded(deployment, RATE) as runs:
        deployment.write_version(2)
        wait_for(lambda: deployment.versions() == [2, 2, 2], "version 2 everywhere")
    assert outcome(runs)["failed"] == 0
    assert scores(deployment.url)
