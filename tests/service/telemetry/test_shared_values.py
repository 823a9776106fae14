"""What processes count in files that all of them read."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, multiprocess
from prometheus_client.mmap_dict import MmapedDict

from thimble.service.telemetry.shared_values import Files, Labels, shared_value


def value(files: Files, version: str, kind: str = "counter", mode: str = "") -> Any:
    return shared_value(files)(kind, "m", "m_total", ["version"], [version], "", mode)


def shown(folder: Path) -> dict[str, float]:
    """What a scrape shows, by version."""
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]
    return {sample.labels["version"]: sample.value for metric in registry.collect() for sample in metric.samples}


def first(labels: Labels) -> bool:
    return labels["version"] == "1"


def test_they_are_added_up_and_a_successor_goes_on(tmp_path: Path) -> None:
    former, other = Files(tmp_path), Files(tmp_path)
    former.take_over("worker-0")
    other.take_over("worker-1")
    for files in (former, other):
        value(files, "1").inc(2)
    assert shown(tmp_path) == {"1": 4}
    successor = Files(tmp_path)
    successor.take_over("worker-0")
    assert [*successor.labels()] == [{"version": "1"}]
    value(successor, "1").inc(3)
    assert shown(tmp_path) == {"1": 7} and len([*tmp_path.iterdir()]) == 2


def test_what_is_dropped_begins_anew_and_the_rest_goes_on(tmp_path: Path) -> None:
    files = Files(tmp_path)
    one, two = value(files, "1"), value(files, "2")
    for counted in (one, two):
        counted.inc(5)
    files.drop(first)
    assert shown(tmp_path) == {"2": 5}
    for counted in (one, two):
        counted.inc(1)
    assert shown(tmp_path) == {"1": 1, "2": 6} and two.get() == 6


def test_a_forked_process_counts_in_files_of_its_own(tmp_path: Path) -> None:
    files = Files(tmp_path)
    counted = value(files, "1")
    counted.inc(1)
    child = os.fork()
    if not child:
        counted.inc(10)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert shown(tmp_path) == {"1": 11} and counted.get() == 1


def test_a_full_disk_leaves_them_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    files = Files(tmp_path)
    counted = value(files, "1")
    counted.inc(1)
    with monkeypatch.context() as patched:
        patched.setattr(MmapedDict, "write_value", full)
        with pytest.raises(OSError, match="No space"):
            files.drop(lambda _: False)
    counted.inc(1)
    assert shown(tmp_path) == {"1": 2}
    files.drop(first)
    assert shown(tmp_path) == {}
