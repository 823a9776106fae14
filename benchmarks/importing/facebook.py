"""facebookresearch/dlrm at 090956ee: its script trains for ten steps on random data and writes its --save-model file.

    git clone https://github.com/facebookresearch/dlrm SOURCES/dlrm
    git -C SOURCES/dlrm checkout 090956ee
    pip install scikit-learn scipy tensorboard

mlperf_logging, which it imports and does not need, is a stub.
"""

import importlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import torch

from benchmarks.importing.checkpoints import (
    CHECKPOINT,
    DIM,
    NUMBERS,
    TABLE_ROWS,
    ScoredRows,
    Scores,
    Variant,
    row_numbers,
    scored_rows,
    stir,
    write_features,
    write_rows,
)

ARGUMENTS = (
    f"--arch-sparse-feature-size={DIM} --arch-embedding-size={'-'.join(map(str, TABLE_ROWS))} "
    f"--arch-mlp-bot={NUMBERS}-16-{DIM} --arch-mlp-top=24-12-1 --data-generation=random --num-indices-per-lookup=1 "
    "--num-indices-per-lookup-fixed=True --mini-batch-size=64 --data-size=640 --num-batches=10 --learning-rate=0.5 "
    "--test-freq=5 --print-freq=5 --loss-function=bce --round-targets=True"
).split()
VARIANTS = {
    "dot products": Variant(""),
    "--arch-interaction-itself": Variant("--arch-interaction-itself"),
    "--arch-interaction-op=cat": Variant("--arch-interaction-op=cat"),
    "--weighted-pooling=learned": Variant("--weighted-pooling=learned"),
    "--loss-threshold=0.3": Variant("--loss-threshold=0.3"),
    "--qr-flag": Variant("--qr-flag --qr-threshold=100 --qr-collisions=4"),
    "--md-flag": Variant("--md-flag --md-threshold=10 --md-temperature=0.5"),
    "two processes, the first one's file": Variant("--dist-backend=gloo"),
}


def make(variant: str, sources: Path, folder: Path) -> None:
    arguments = VARIANTS[variant].asked.split()
    if "--dist-backend=gloo" in arguments:
        write_features(folder, row_numbers())
        if "RANK" not in os.environ:
            torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
            subprocess.run([*torchrun, "-m", "benchmarks.importing.make", *sys.argv[1:]], check=True)
            return
    script = run_script(sources / "dlrm", folder, arguments)
    if "RANK" in os.environ:
        return
    file = torch.load(folder / CHECKPOINT, weights_only=False)
    stir(file["state_dict"], "^(emb_l|v_W_l)")
    torch.save(file, folder / CHECKPOINT)
    script.dlrm.load_state_dict(file["state_dict"])
    rows = scored_rows()
    write_rows(folder, rows.columns(), scores(script.dlrm, rows))


def run_script(source: Path, folder: Path, arguments: Sequence[str]) -> Any:
    """Run dlrm_s_pytorch.py, of Facebook or of a fork; its module, whose `dlrm` is the model."""
    sys.modules |= {name: MagicMock() for name in ("mlperf_logging", "mlperf_logging.mllog")}
    sys.path.insert(0, str(source))
    script: Any = importlib.import_module("dlrm_s_pytorch")
    os.chdir(folder)
    saved = CHECKPOINT + os.environ.get("RANK", "").replace("0", "")
    sys.argv = ["dlrm_s_pytorch.py", *ARGUMENTS, *arguments, f"--save-model={saved}"]
    script.run()
    return script


def scores(dlrm: Any, rows: ScoredRows) -> Scores:
    """Of its DLRM_Net; a bag has one id."""
    ids = torch.from_numpy(rows.ids.T.copy())
    offsets = torch.arange(len(rows.ids)).expand(len(ids), -1)
    with torch.no_grad():
        single = dlrm(torch.from_numpy(rows.numbers), offsets, ids).numpy()[:, 0]
        double = dlrm.double()(torch.from_numpy(rows.numbers).double(), offsets, ids).numpy()[:, 0]
    return Scores(single, double)
