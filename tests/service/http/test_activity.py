"""What a server tells of the last minutes, in one process and in several."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from testing.conditions import until
from testing.servers import Server, running

ROWS = {"features": {"d0": [1, 2, 3]}}


def activity(server: Server, **query: str) -> dict[str, Any]:
    """By a connection of its own, so by any of the workers."""
    answer = httpx.get(f"{server.url}/v1/activity", params=query)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def counted(server: Server, rate: str, **query: str) -> float:
    """What was counted in all samples together."""
    told = activity(server, **query)
    return float(sum(it[rate] for it in told["history"]["rates"]) * told["interval_s"])


def about(expected: float, found: Callable[[], float]) -> None:
    """The first interval is as long as it happens to be."""
    until(lambda: abs(found() - expected) < 0.3 * expected)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_every_worker_tells_what_all_have_done(small_artifact: Path, workers: str) -> None:
    with running(small_artifact.parents[2], "--workers", workers) as server:
        until(lambda: len(activity(server)["history"]["times"]) > 0)
        for number in range(60):
            httpx.post(f"{server.url}/v1/score", json=ROWS if number % 3 else {"features": {"d0": "x"}})
        for _ in range(4):  # dealt to the workers in turn
            about(60, lambda: counted(server, "requests"))
            about(120, lambda: counted(server, "rows"))
            about(20, lambda: counted(server, "invalid"))
        told = activity(server)
        assert told["fault"] is None and told["changes"] == "no"
        (version,) = told["history"]["versions"]
        assert (version["model"], version["version"]) == ("small", "1")
        assert 0 < version["median_ms"] <= version["p99_ms"]
        assert told["history"]["memory_bytes"][-1] > int(workers) * 20e6
        assert told["releases"][0]["message"] == "version 1 answers now, nothing before"
        assert counted(server, "rows", model="small") == pytest.approx(counted(server, "rows"), rel=0.1)
        missing = httpx.get(f"{server.url}/v1/activity?model=none")
        assert (missing.status_code, missing.json()) == (404, {"error": "no model 'none' is served"})


def test_who_may_change_is_told_who_has_and_no_one_else_is(small_artifact: Path) -> None:
    api, admin = "a-key-for-scoring-rows", "a-key-for-those-on-call"
    env = {"THIMBLE_API_KEYS": api, "THIMBLE_ADMIN_KEYS": f"{admin} # alice"}
    with running(small_artifact.parents[2], env=env) as server:

        def told(key: str) -> dict[str, Any]:
            found = httpx.get(f"{server.url}/v1/activity", headers={"Authorization": f"Bearer {key}"})
            state: dict[str, Any] = found.json()
            return state

        assert httpx.get(f"{server.url}/v1/activity").status_code == 401
        assert told(api)["changes"] == "with an admin key" and told(admin)["changes"] == "yes"
        assert told(api)["releases"][0]["by"] is None
        assert told(admin)["releases"][0]["by"] == "the start"


def test_served_is_another_text_when_something_else_is_served(small_artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "m" / "1").mkdir(parents=True)
    (tmp_path / "m" / "1" / "model.onnx").write_bytes(small_artifact.read_bytes())
    key = {"Authorization": "Bearer a-key-for-those-on-call"}
    with running(tmp_path, env={"THIMBLE_ADMIN_KEYS": "a-key-for-those-on-call # bob"}) as server:
        before = activity(server)
        assert activity(server)["served"] == before["served"]
        release = f"{server.url}/v1/models/m/release"
        assert httpx.put(release, json={"live": 1}, headers=key).status_code == 200
        after = httpx.get(f"{server.url}/v1/activity", headers=key).json()
        assert after["served"] != before["served"]
        assert (after["releases"][0]["message"], after["releases"][0]["by"]) == (
            "no newer version is followed any more",
            "bob",
        )


def test_a_single_file_cannot_be_changed(small_artifact: Path) -> None:
    key = "a-key-for-those-on-call"
    with running(small_artifact, env={"THIMBLE_ADMIN_KEYS": key}) as server:
        told = httpx.get(f"{server.url}/v1/activity", headers={"Authorization": f"Bearer {key}"}).json()
        assert told["changes"] == "no"
