"""A version's series go an hour after it, and everything else stays."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from thimble.service.telemetry.series import KEPT_SECONDS, Series


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Shown:
    """Metrics, and their series as a scrape shows them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.clock = Clock()
        self.series = Series(None, self.clock)
        self.rows = Counter("rows", "", ("model", "version"), registry=self.registry)
        self.beside = Counter("beside", "", ("model", "version", "live"), registry=self.registry)
        self.live = Gauge("live", "", ("model",), registry=self.registry)

    def count(self, version: str) -> None:
        self.series.child(self.rows, "m", version, of=(("m", version),)).inc()

    def __call__(self) -> set[str]:
        self.series.drop_old()
        lines = generate_latest(self.registry).decode().splitlines()
        return {line for line in lines if not line.startswith("#") and "_created" not in line}


@pytest.fixture
def shown() -> Shown:
    return Shown()


def test_they_stay_while_a_version_is_served_and_for_an_hour(shown: Shown) -> None:
    shown.count("1")
    shown.series.serve(("m", "1"), "model")
    shown.clock.now += 100 * KEPT_SECONDS
    assert shown() == {'rows_total{model="m",version="1"} 1.0'}
    shown.series.withdraw(("m", "1"), "model")
    shown.clock.now += KEPT_SECONDS - 1
    assert shown() == {'rows_total{model="m",version="1"} 1.0'}
    shown.clock.now += 1
    assert shown() == set()


def test_a_version_that_comes_back_goes_on_or_begins_anew(shown: Shown) -> None:
    for version, pause in (("1", KEPT_SECONDS / 2), ("1", 2 * KEPT_SECONDS), ("1", 0.0)):
        shown.count(version)
        shown.series.serve(("m", version), "model")
        shown.series.withdraw(("m", version), "model")
        shown.clock.now += pause
        found = shown()
        assert found == (set() if pause > KEPT_SECONDS else found) and len(found) <= 1
    assert shown() == {'rows_total{model="m",version="1"} 1.0'}


def test_a_version_that_was_never_served_goes_too(shown: Shown) -> None:
    shown.count("1")
    shown.clock.now += KEPT_SECONDS
    assert shown() == set()


def test_a_version_is_served_as_long_as_anybody_serves_it(shown: Shown) -> None:
    shown.count("1")
    for user in ("model", "shadow"):
        shown.series.serve(("m", "1"), user)
    shown.series.withdraw(("m", "1"), "shadow")
    shown.clock.now += 2 * KEPT_SECONDS
    assert len(shown()) == 1


def test_what_was_counted_of_two_versions_goes_with_either(shown: Shown) -> None:
    for version in ("1", "2", "3"):
        shown.series.serve(("m", version), "model")
    for version, live in (("3", "1"), ("3", "2")):
        shown.series.child(shown.beside, "m", version, live, of=(("m", version), ("m", live))).inc()
    shown.series.withdraw(("m", "1"), "model")
    shown.clock.now += KEPT_SECONDS
    assert shown() == {'beside_total{live="2",model="m",version="3"} 1.0'}


def test_what_is_counted_of_a_model_goes_with_its_last_version(shown: Shown) -> None:
    for version in ("1", "2"):
        shown.series.serve(("m", version), "model")
    shown.series.child(shown.live, "m", of=(("m", ""),)).set(2)
    shown.series.withdraw(("m", "1"), "model")
    shown.clock.now += 2 * KEPT_SECONDS
    assert shown() == {'live{model="m"} 2.0'}
    shown.series.withdraw(("m", "2"), "model")
    shown.clock.now += KEPT_SECONDS
    assert shown() == set()


@pytest.mark.parametrize(("workers", "releases"), [("one process", 5_000), ("several workers", 1_000)])
def test_thousands_of_releases_leave_nothing_behind(tmp_path: Path, workers: str, releases: int) -> None:
    env = {**os.environ, **({"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)} if workers == "several workers" else {})}
    script = Path(__file__).with_name("releases_by_clock.py")
    found = subprocess.run([sys.executable, script, str(releases)], env=env, capture_output=True, text=True, check=True)
    first, last = json.loads(found.stdout)
    assert last["series"] == first["series"]
    assert last["seconds"] < 5 * first["seconds"]  # without an end it is hundreds of times as long
    assert last["mib"] < first["mib"] + 16
    assert (last["descriptors"], last["threads"]) == (first["descriptors"], first["threads"])
    assert last["bytes"] == first["bytes"]
    assert f'thimble_release_changes_total{{model="shop",outcome="released"}} {releases}.0' in last["released"]
