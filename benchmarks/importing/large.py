"""What importing a large checkpoint takes: of Facebook's DLRM with the tables of Criteo-Kaggle, 2.16 GB.

    python -m benchmarks.importing.large

Its weights are random. It is imported by the command line with ids modulo the tables' lengths, and again with a
vocabulary for the three largest tables, of 25.5 million values, which takes ten minutes. It needs 8 GB of disk. Told
are the seconds, and the most memory that the process ever had, pages of the checkpoint that it read among it. Prints a
table and writes it into `results/`.
"""

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import measured_on, record
from thimble.models.presets import CRITEO_KAGGLE_ROWS

RESULTS = Path(__file__).parent / "results"
NUMBERS, DIM = 13, 16
LARGEST = sorted(range(len(CRITEO_KAGGLE_ROWS)), key=CRITEO_KAGGLE_ROWS.__getitem__)[-3:]


def write_checkpoint(path: str) -> None:
    """In a process of its own, whose memory would otherwise be counted as that of the next."""
    import torch

    pairs = (len(CRITEO_KAGGLE_ROWS) + 1) * len(CRITEO_KAGGLE_ROWS) // 2
    tensors = {f"emb_l.{k}.weight": torch.empty(n, DIM).uniform_(-0.3, 0.3) for k, n in enumerate(CRITEO_KAGGLE_ROWS)}
    for part, sizes in (("bot_l", [NUMBERS, 512, 256, 64, DIM]), ("top_l", [DIM + pairs, 512, 256, 1])):
        for layer, (inputs, outputs) in enumerate(pairwise(sizes)):
            tensors[f"{part}.{2 * layer}.weight"] = torch.randn(outputs, inputs) / inputs**0.5
            tensors[f"{part}.{2 * layer}.bias"] = torch.randn(outputs) / 10
    torch.save({"state_dict": tensors, "epoch": 0}, path)


def described(folder: Path, vocabularies: bool) -> None:
    """features.yaml (JSON is YAML), with ids modulo tables, or row numbers beside vocabularies of the largest."""
    fields: list[Any] = [f"C{field + 1}" for field in range(len(CRITEO_KAGGLE_ROWS))]
    for field in LARGEST if vocabularies else ():
        values = np.random.default_rng(field).permutation(2 * CRITEO_KAGGLE_ROWS[field])[: CRITEO_KAGGLE_ROWS[field]]
        np.savez(folder / f"{fields[field]}.npz", unique=values.astype(np.int32))
        fields[field] = {"name": fields[field], "ids": {"vocabulary": f"{fields[field]}.npz", "missing": 0}}
    dense = [f"I{number + 1}" for number in range(NUMBERS)]
    said = {"dense": dense, "numbers": "log", "fields": fields, "ids": "rows" if vocabularies else "mod"}
    (folder / "features.yaml").write_text(json.dumps(said))


def imported(folder: Path, name: str, ids: str) -> dict[str, Any]:
    """Import it by the command line."""
    command = [sys.executable, "-c", "from thimble.export.cli import main; main()", "import", "model.pt"]
    command += ["--format", "facebook", "--features", "features.yaml", "--name", name]
    began = time.monotonic()
    process = subprocess.Popen(command, cwd=folder)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    assert status == 0
    return {
        "ids": ids,
        "seconds": seconds,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_bytes": used.ru_maxrss * 1024,
        "artifact_bytes": sum(path.stat().st_size for path in (folder / "artifacts" / name / "1").iterdir()),
    }


def table(results: list[dict[str, Any]], checkpoint_bytes: int) -> str:
    """Markdown."""
    largest = 4 * DIM * max(CRITEO_KAGGLE_ROWS)
    lines = [f"A checkpoint of {checkpoint_bytes / 1e9:.2f} GB, whose largest table has {largest / 1e9:.2f} GB.", ""]
    lines += ["| ids | seconds | of a processor | most memory, GB | beyond the largest table, GB | artifact, GB |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: |")
    for it in results:
        peak, seconds, of_processor = it["peak_bytes"], it["seconds"], it["cpu_seconds"]
        lines.append(
            f"| {it['ids']} | {seconds:.0f} | {of_processor:.0f} | {peak / 1e9:.2f} | {(peak - largest) / 1e9:.2f} | "
            f"{it['artifact_bytes'] / 1e9:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        writing = multiprocessing.get_context("spawn").Process(target=write_checkpoint, args=[str(folder / "model.pt")])
        writing.start()
        writing.join()
        checkpoint_bytes = (folder / "model.pt").stat().st_size
        for vocabularies in (False, True):
            described(folder, vocabularies)
            ids = "vocabularies of the three largest" if vocabularies else "modulo"
            results.append(imported(folder, f"model-{len(results)}", ids))
            found = {"measured_on": measured_on(), "checkpoint_bytes": checkpoint_bytes, "runs": results}
            record(RESULTS, "large", found, table(results, checkpoint_bytes))
    print(table(results, checkpoint_bytes))


if __name__ == "__main__":
    main()
