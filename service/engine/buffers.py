"""How a session is run over and over without allocating: inputs and outputs are bound to buffers that stay."""

from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from thimble.models.features import Batch
from thimble.models.hashing import Floats
from thimble.models.heads import SCORE, together
from thimble.models.inputs import InputTensor

# Runs until ONNX Runtime has captured a graph, and runs that are timed with it and without.
CAPTURES, TRIALS = 3, 5

Tensor = npt.NDArray[Any]


def sizes(batch_rows: int) -> list[int]:
    """The powers of two below `batch_rows`, and `batch_rows`."""
    return [*(1 << i for i in range((batch_rows - 1).bit_length())), batch_rows]


class HostBuffers:
    """A batch's inputs, filled in one after the other."""

    def __init__(self, inputs: Sequence[InputTensor], batch_rows: int) -> None:
        self.batch = Batch.missing(inputs, batch_rows)
        self._buffers: Sequence[Tensor] = self.batch

    def fill(self, parts: Sequence[Batch]) -> int:
        """Returns the number of rows."""
        if len(parts) == 1:  # as most often, and there is nothing to join
            tensors: Sequence[Tensor] = parts[0]
            rows = len(tensors[0])
            for buffer, tensor in zip(self._buffers, tensors):  # noqa: B905 - this is the hottest path
                buffer[:rows] = tensor
            return rows
        rows = sum([part.rows for part in parts])
        for buffer, *joined in zip(self._buffers, *parts, strict=True):
            np.concatenate(joined, out=buffer[:rows])
        return rows


class CpuRunner:
    """Runs on the CPU, which takes batches as they are."""

    def __init__(
        self, session: onnxruntime.InferenceSession, host: HostBuffers, outputs: Sequence[str] = (SCORE,)
    ) -> None:
        self._session = session
        self._host = host
        self._outputs = outputs
        self._scores: Floats = np.empty((len(outputs), host.batch.rows), np.float32)
        self._only = self._scores[0] if len(outputs) == 1 else None
        self._bindings: dict[int, Any] = {}
        self._options = run_options(-1)  # else ONNX Runtime makes them at every run

    def run(self, rows: int) -> Floats:
        """Scores of the first rows of the buffers, [rows], of several outputs [rows, outputs]."""
        self._session.run_with_iobinding(self._bindings.get(rows) or self._bound(rows), self._options)
        return self._scores[:, :rows].T.copy() if self._only is None else self._only[:rows].copy()

    def _bound(self, rows: int) -> Any:
        binding = self._bindings[rows] = self._session.io_binding()
        for name, array in self._host.batch.fed().items():
            binding.bind_input(name, "cpu", 0, array.dtype, (rows, array.shape[1]), array.ctypes.data)
        for name, scores in zip(self._outputs, self._scores, strict=True):
            binding.bind_output(name, "cpu", 0, np.float32, (rows,), scores.ctypes.data)
        return binding


class BucketRunner:
    """Runs on a GPU, in buckets of fixed sizes: a batch takes the smallest that holds it."""

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        host: HostBuffers,
        device: str = "cuda",
        outputs: Sequence[str] = (SCORE,),
    ) -> None:
        self._buckets = [
            _Bucket(session, host, outputs, device, rows, i) for i, rows in enumerate(sizes(host.batch.rows), 1)
        ]

    def run(self, rows: int) -> Floats:
        """As `CpuRunner.run`. What lies in the buffers beyond the first rows is scored too and left."""
        bucket = next(bucket for bucket in self._buckets if rows <= bucket.rows)
        return bucket.run()[:rows].copy()


class _Bucket:
    """Buffers on the device for one size of batch, run as a CUDA graph where that is faster."""

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        host: HostBuffers,
        outputs: Sequence[str],
        device: str,
        rows: int,
        graph: int,
    ) -> None:
        self.rows = rows
        self._session = session
        self._inputs = host.batch.part(0, rows).fed()
        copied = onnxruntime.OrtValue.ortvalue_from_numpy
        self._on_device = {name: copied(array, device, 0) for name, array in self._inputs.items()}
        made = onnxruntime.OrtValue.ortvalue_from_shape_and_type
        self._scores = {name: made([rows], np.float32, device, 0) for name in outputs}
        self._binding = session.io_binding()
        for name, value in self._on_device.items():
            self._binding.bind_ortvalue_input(name, value)
        for name, value in self._scores.items():
            self._binding.bind_ortvalue_output(name, value)
        self._options = min((run_options(-1), run_options(graph)), key=self._seconds)

    def run(self) -> Floats:
        for name, array in self._inputs.items():
            self._on_device[name].update_inplace(array)
        self._session.run_with_iobinding(self._binding, self._options)
        return together([value.numpy() for value in self._scores.values()])

    def _seconds(self, options: Any) -> float:
        """The fastest of some runs, after those in which a graph is captured."""
        self._options = options
        seconds = []
        for _ in range(CAPTURES + TRIALS):
            start = perf_counter()
            self.run()
            seconds.append(perf_counter() - start)
        return min(seconds[CAPTURES:])


def run_options(graph: int) -> Any:
    """A run under a CUDA graph's number, or, for -1, under none."""
    options = onnxruntime.RunOptions()
    options.log_severity_level = 4  # what it raises, it would write to standard error as well, each time
    options.add_run_config_entry("gpu_graph_id", str(graph))
    return options
