"""Where a benchmark runs, as ONNX Runtime needs to know it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

Turn = Callable[[int], None]
Values = dict[str, onnxruntime.OrtValue]


@dataclass(frozen=True)
class Device:
    """The processor, one thread of it, or the first GPU."""

    kind: Literal["cpu", "cuda"] = "cpu"

    @property
    def provider(self) -> str:
        return "CPUExecutionProvider" if self.kind == "cpu" else "CUDAExecutionProvider"

    @property
    def providers(self) -> list[str]:
        """What sessions are made with: the processor does what the device has no kernel for."""
        return list(dict.fromkeys([self.provider, "CPUExecutionProvider"]))

    def session(
        self, model: Path | onnx.ModelProto, library: Path | None = None, graphs: bool = False
    ) -> onnxruntime.InferenceSession:
        """`library` has the native lookup; `graphs` makes a CUDA graph of each `gpu_graph_id`'s first run."""
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        if library:
            options.register_custom_ops_library(str(library))
        settings: dict[str, dict[str, str]] = {provider: {} for provider in self.providers}
        if self.kind == "cuda":
            # the default doubles what a session holds, too much for many sessions on one card
            settings[self.provider] = {
                "arena_extend_strategy": "kSameAsRequested",
                "enable_cuda_graph": str(int(graphs)),
            }
        return onnxruntime.InferenceSession(
            model if isinstance(model, Path) else model.SerializeToString(),
            options,
            providers=list(settings),
            provider_options=list(settings.values()),
            enable_fallback=0,  # to a session without what was asked for
        )

    def value(self, array: npt.NDArray[Any]) -> onnxruntime.OrtValue:
        return onnxruntime.OrtValue.ortvalue_from_numpy(array, self.kind, 0)

    def table(self, rows: int, dim: int) -> onnxruntime.OrtValue:
        """Some floats, [rows, dim], in memory that is really there."""
        if self.kind == "cpu":  # Linux gives memory when it is written
            return self.value(np.ones((rows, dim), np.float32))
        return onnxruntime.OrtValue.ortvalue_from_shape_and_type([rows, dim], np.float32, self.kind, 0)


def turn(
    session: onnxruntime.InferenceSession,
    batches: Sequence[Values],
    out: Values,
    options: onnxruntime.RunOptions | None = None,
) -> Turn:
    """Runs a session on the i-th batch, from and into memory that is kept."""
    bindings: list[onnxruntime.IOBinding] = []
    for batch in batches:
        binding = session.io_binding()
        for name, value in batch.items():
            binding.bind_ortvalue_input(name, value)
        for name, value in out.items():
            binding.bind_ortvalue_output(name, value)
        bindings.append(binding)

    def run(i: int) -> None:
        binding = bindings[i % len(bindings)]
        session.run_with_iobinding(binding, options)
        binding.synchronize_outputs()

    return run
