"""MLServer with adaptive batching, in one process (no parallel workers on one core), metrics, debug and gzip off.

python -m benchmarks.serving.rivals.mlserver PORT
"""

import asyncio
import sys

from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from benchmarks.serving.rivals.session import open_session

MAX_REQUESTS, WAIT_SECONDS = 256, 0.001


class Scorer(MLModel):
    async def load(self) -> bool:
        self.session = open_session()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        batch = {tensor.name: NumpyCodec.decode_input(tensor) for tensor in payload.inputs}
        scores = self.session.run(["score"], batch)[0]
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("score", scores)])


async def main(port: int) -> None:
    server = MLServer(
        Settings(
            debug=False,
            host="127.0.0.1",
            http_port=port,
            grpc_port=port + 1,
            metrics_endpoint=None,
            parallel_workers=0,
            gzip_enabled=False,
            load_models_at_startup=False,
        )
    )
    model = ModelSettings(name="demo", implementation=Scorer, max_batch_size=MAX_REQUESTS, max_batch_time=WAIT_SECONDS)
    await server.start([model])


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
