"""What several workers count, read from their files as these grow, are written anew and go."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from thimble.service.telemetry import columns
from thimble.service.telemetry.counts import SharedCounts


class Worker:
    """Writes as a worker does."""

    def __init__(self, folder: Path, name: str) -> None:
        # prometheus_client's own file, which has no types
        self._files: dict[str, Any] = {
            kind: MmapedDict(str(folder / f"{kind}_{name}.db"))  # type: ignore[no-untyped-call]
            for kind in ("histogram", "gauge_livesum")
        }

    def count(self, kind: str, metric: str, series: str, amount: float, **labels: str) -> None:
        key = mmap_key(metric, series, list(labels), list(labels.values()), "what it is")
        self._files[kind].write_value(key, amount, 0.0)

    def close(self) -> None:
        for file in self._files.values():
            file.close()

    def rows(self, amount: float, version: str = "1") -> None:
        self.count("histogram", "thimble_batch_rows", "thimble_batch_rows_sum", amount, model="m", version=version)


def rows_of(counts: SharedCounts) -> dict[str, float]:
    matrix = counts.read()
    return {version: matrix[row, columns.ROWS] for row, (_, version) in enumerate(counts.rows.versions)}


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[list[Worker]]:
    workers = [Worker(tmp_path, f"worker-{number}") for number in range(2)]
    yield workers
    for worker in workers:
        worker.close()


def test_what_workers_count_is_added_up_and_read_again(tmp_path: Path, workers: list[Worker]) -> None:
    counts = SharedCounts(tmp_path)
    assert rows_of(counts) == {}
    for worker in workers:
        worker.rows(10)
    assert rows_of(counts) == {"1": 20}
    workers[0].rows(15)
    workers[1].rows(7, version="2")
    assert rows_of(counts) == {"1": 25, "2": 7}


def test_every_series_has_its_column(tmp_path: Path, workers: list[Worker]) -> None:
    version: dict[str, Any] = {"model": "m", "version": "1"}
    for status, le, amount in (("200", "0.001", 3), ("200", "+Inf", 1), ("429", "0.0005", 5), ("500", "10.0", 2)):
        name = "thimble_request_seconds"
        workers[0].count("histogram", name, f"{name}_bucket", amount, **version, status=status, le=le)
    workers[0].count("histogram", "other", "other_bucket", 9, **version, le="1.0")
    workers[1].count("gauge_livesum", "thimble_queued_rows", "thimble_queued_rows", 4, **version)
    for worker in workers:
        worker.count("gauge_livesum", "thimble_resident_bytes", "thimble_resident_bytes", 5e7)
    counts = SharedCounts(tmp_path)
    matrix = counts.read()
    by_version = dict(zip(counts.rows.versions, matrix, strict=True))
    row = by_version[("m", "1")]
    assert row[columns.LATENCY + 1] == 3 and row[columns.LATENCIES.stop - 1] == 1
    assert (row[columns.REFUSED], row[columns.FAILED], row[columns.QUEUED]) == (5, 2, 4)
    assert row.sum() == 15
    assert by_version["", ""][columns.MEMORY] == 1e8


def test_a_file_that_is_written_anew_is_read_anew(tmp_path: Path, workers: list[Worker]) -> None:
    workers[0].rows(10)
    workers[0].rows(20, version="2")
    counts = SharedCounts(tmp_path)
    assert rows_of(counts) == {"1": 10, "2": 20}
    other = tmp_path / "other"
    other.mkdir()
    anew = Worker(other, "worker-0")
    anew.rows(25, version="2")  # the first version was dropped
    anew.close()
    (other / "histogram_worker-0.db").replace(tmp_path / "histogram_worker-0.db")
    assert rows_of(counts) == {"1": 0, "2": 25}


def test_a_worker_that_is_gone_counts_no_more(tmp_path: Path, workers: list[Worker]) -> None:
    for worker in workers:
        worker.rows(10)
    counts = SharedCounts(tmp_path)
    assert rows_of(counts) == {"1": 20}
    (tmp_path / "histogram_worker-1.db").unlink()
    assert rows_of(counts) == {"1": 10}


def test_there_may_be_more_than_a_file_holds_at_first(tmp_path: Path, workers: list[Worker]) -> None:
    counts = SharedCounts(tmp_path)
    for version in range(2000):
        workers[0].rows(version, version=str(version))
        if version % 500 == 0:
            rows_of(counts)
    assert rows_of(counts) == {str(version): version for version in range(2000)}
