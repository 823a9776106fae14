"""BentoML with adaptive batching of a batchable API: one worker, metrics and access log off.

A batchable API takes one argument, so a row is an array of 39 numbers (float64 holds the ids exactly). It decides
itself how long to wait for a batch; MAX_LATENCY_MS is when it refuses with a 503, and 50 or 200 ms made it slower.

python -m benchmarks.serving.rivals.bentoml PORT
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import bentoml
import numpy as np
import numpy.typing as npt
from bentoml.validators import DType

from benchmarks.serving.rivals.session import ROOT, open_session

MAX_ROWS, MAX_LATENCY_MS = 256, 10_000


@bentoml.service(
    workers=1,
    traffic={"timeout": 60},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
class Scorer:
    def __init__(self) -> None:
        self.session = open_session()

    @bentoml.api(batchable=True, max_batch_size=MAX_ROWS, max_latency_ms=MAX_LATENCY_MS)
    def predict(self, rows: Annotated[npt.NDArray[np.float64], DType("float64")]) -> npt.NDArray[np.float32]:
        dense, ids = rows[:, :13].astype(np.float32), rows[:, 13:].astype(np.int64)
        scores: npt.NDArray[np.float32] = self.session.run(["score"], {"dense": dense, "ids": ids})[0]
        return scores


if __name__ == "__main__":
    command = str(Path(sys.executable).with_name("bentoml"))
    service = "benchmarks.serving.rivals.bentoml:Scorer"
    os.chdir(ROOT)
    os.execv(command, [command, "serve", service, "--host", "127.0.0.1", "--port", sys.argv[1]])
