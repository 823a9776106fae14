"""Ray Serve with @serve.batch: one replica behind HAProxy (ten times its own proxy here), in its mode for throughput.

python -m benchmarks.serving.rivals.ray PORT
"""

import os
import signal
import sys
from typing import Any

# read when Ray is imported, here and in its workers
os.environ |= {
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_HAPROXY_NBTHREAD": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}

import numpy as np
import orjson
import ray
from ray import serve
from ray.serve.config import HTTPOptions
from starlette.requests import Request

from benchmarks.serving.rivals.session import open_session

MAX_ROWS, WAIT_SECONDS = 256, 0.001


def count_rows(inputs: list[dict[str, Any]]) -> int:
    return sum(len(rows["ids"]) for rows in inputs)


class Scorer:
    def __init__(self) -> None:
        self.session = open_session()

    @serve.batch(max_batch_size=MAX_ROWS, batch_wait_timeout_s=WAIT_SECONDS, batch_size_fn=count_rows)
    async def score(self, inputs: list[dict[str, Any]]) -> list[Any]:
        batch = {name: np.concatenate([rows[name] for rows in inputs]) for name in ("dense", "ids")}
        scores = self.session.run(["score"], batch)[0]
        return np.split(scores, np.cumsum([len(rows["ids"]) for rows in inputs])[:-1])

    async def __call__(self, request: Request) -> Any:
        body = orjson.loads(await request.body())
        rows = {"dense": np.array(body["dense"], np.float32), "ids": np.array(body["ids"], np.int64)}
        return {"scores": (await self.score(rows)).tolist()}


deployment = serve.deployment(Scorer, num_replicas=1, max_ongoing_requests=1000)

if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=100 << 20, log_to_driver=False)
    http = HTTPOptions(host="127.0.0.1", port=int(sys.argv[1]))
    serve.start(http_options=http, logging_config={"enable_access_log": False})
    serve.run(deployment.bind(), route_prefix="/predict")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # Ray ends its processes at exit
    signal.pause()
