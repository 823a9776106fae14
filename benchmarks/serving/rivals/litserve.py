"""LitServe with batching and its fast (ZeroMQ) queue: one worker, one API server.

python -m benchmarks.serving.rivals.litserve PORT
"""

import sys
from typing import Any

import litserve
import numpy as np

from benchmarks.serving.rivals.session import open_session

MAX_REQUESTS, WAIT_SECONDS = 256, 0.001


class Scorer(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.session = open_session()

    def decode_request(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"dense": np.array(request["dense"], np.float32), "ids": np.array(request["ids"], np.int64)}

    def batch(self, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return inputs

    def predict(self, inputs: list[dict[str, Any]]) -> list[Any]:
        batch = {name: np.concatenate([rows[name] for rows in inputs]) for name in ("dense", "ids")}
        scores = self.session.run(["score"], batch)[0]
        return np.split(scores, np.cumsum([len(rows["ids"]) for rows in inputs])[:-1])

    def encode_response(self, output: Any) -> dict[str, Any]:
        return {"scores": output.tolist()}


if __name__ == "__main__":
    api = Scorer(max_batch_size=MAX_REQUESTS, batch_timeout=WAIT_SECONDS)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, fast_queue=True)
    server.run("127.0.0.1", int(sys.argv[1]), log_level="warning", generate_client_file=False, access_log=False)
