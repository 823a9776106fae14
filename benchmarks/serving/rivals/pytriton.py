"""Triton Inference Server, as PyTriton's wheel carries it, with dynamic batching before a Python callable.

python -m benchmarks.serving.rivals.pytriton PORT
"""

import sys
from typing import Any

import numpy as np
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

from benchmarks.serving.rivals.session import open_session

MAX_ROWS, WAIT_MICROSECONDS = 256, 1000

session = open_session()


@batch
def score(dense: Any, ids: Any) -> dict[str, Any]:
    return {"score": session.run(["score"], {"dense": dense, "ids": ids})[0][:, None]}


if __name__ == "__main__":
    config = TritonConfig(
        http_address="127.0.0.1", http_port=int(sys.argv[1]), http_thread_count=1, allow_grpc=False, allow_metrics=False
    )
    with Triton(config=config) as triton:
        triton.bind(
            model_name="demo",
            infer_func=score,
            inputs=[
                Tensor(name="dense", dtype=np.float32, shape=(13,)),
                Tensor(name="ids", dtype=np.int64, shape=(26,)),
            ],
            outputs=[Tensor(name="score", dtype=np.float32, shape=(1,))],
            config=ModelConfig(
                max_batch_size=MAX_ROWS, batcher=DynamicBatcher(max_queue_delay_microseconds=WAIT_MICROSECONDS)
            ),
        )
        triton.serve()
