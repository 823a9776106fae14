"""Triton's perf_analyzer as it is, with the columns that it fills from our statistics."""

import csv
import json
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from testing.servers import Server
from thimble.export.clicks.golden import golden_batch
from thimble.models.spec import ModelSpec

FOLDER = Path(__file__).parents[2] / "build" / "perf_analyzer"
BINARY = FOLDER / "bin" / "perf_analyzer"
LIBRARIES = [FOLDER / "usr" / "lib" / "x86_64-linux-gnu", FOLDER / "nvidia" / "cuda_runtime" / "lib"]
ENVIRONMENT = {**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, LIBRARIES))}
# A release that brings a binary for glibc older than 2.38, which is linked with CUDA's runtime and libb64.
PACKAGES = ["tritonclient==2.51.0", "nvidia-cuda-runtime-cu12==12.9.79"]
SERVER_COLUMNS = ["Server Queue", "Server Compute Input", "Server Compute Infer", "Server Compute Output"]


def run_or_skip(*command: str | Path) -> str:
    done = subprocess.run(command, cwd=FOLDER, env=ENVIRONMENT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"{shlex.join(map(str, command))}: {done.stderr.strip()[-300:]}")
    return done.stdout


@pytest.fixture(scope="module")
def perf_analyzer() -> Path:
    """The binary, from a wheel, with the library that it needs from Debian."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        pytest.skip("perf_analyzer is built for Linux on x86-64")
    if not BINARY.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        run_or_skip("apt-get", "download", "libb64-0d")
        for package in FOLDER.glob("libb64-0d_*.deb"):
            run_or_skip("dpkg-deb", "--extract", package, FOLDER)
        run_or_skip(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", FOLDER, *PACKAGES)
    if missing := [line.strip() for line in run_or_skip("ldd", BINARY).splitlines() if "not found" in line]:
        pytest.skip(f"perf_analyzer cannot be loaded: {'; '.join(missing)}")
    return BINARY


@pytest.mark.proof
@pytest.mark.parametrize("rows", [1, 64])
def test_perf_analyzer_fills_its_columns_at_every_concurrency(
    perf_analyzer: Path, server: Server, criteo: ModelSpec, tmp_path: Path, rows: int
) -> None:
    assert criteo.golden is not None
    batch = golden_batch(criteo, criteo.golden.features)
    dense = np.nan_to_num(batch.dense)  # it reads its data as JSON
    data = [{"dense": row, "ids": ids} for row, ids in zip(dense.tolist(), batch.ids.tolist(), strict=True)]
    (tmp_path / "data.json").write_text(json.dumps({"data": data}))
    report = tmp_path / "report.csv"
    command: list[str | Path] = [perf_analyzer, "-m", "criteo", "-u", server.url.removeprefix("http://")]
    command += ["-b", str(rows), "--concurrency-range", "1:8", "--input-data", tmp_path / "data.json"]
    # three windows a concurrency, whether they agree or not
    command += ["--measurement-interval", "400", "--max-trials", "3", "--stability-percentage", "999"]
    command += ["-f", report, "--verbose-csv"]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0 and "Failed" not in done.stdout + done.stderr, done.stdout + done.stderr
    with report.open() as lines:
        measured = list(csv.DictReader(lines))
    assert sorted(int(line["Concurrency"]) for line in measured) == list(range(1, 9))
    for line in measured:
        assert float(line["Inferences/Second"]) > 0
        assert all(int(line[column]) > 0 for column in SERVER_COLUMNS), line
