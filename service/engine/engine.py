"""One model in ONNX Runtime."""

import logging
from collections.abc import Sequence
from importlib.metadata import distributions
from time import sleep
from typing import Literal

import numpy as np
import onnxruntime

from thimble.models.features import Batch, FeatureError, batch_from_values
from thimble.models.hashing import Floats
from thimble.models.heads import columns_of, empty_scores
from thimble.models.schemes.base import HashedEmbedding
from thimble.models.spec import GoldenRows, ModelSpec
from thimble.ops.library import NativeOps
from thimble.service.engine.artifact import Artifact, ArtifactError
from thimble.service.engine.buffers import BucketRunner, CpuRunner, HostBuffers, sizes
from thimble.service.engine.cost import Cost, measured
from thimble.service.engine.room import rows_within
from thimble.service.errors import StartupError

Device = Literal["auto", "cpu", "cuda"]
Lookup = Literal["native", "function"]
Providers = dict[str, dict[str, str]]
"""ONNX Runtime's providers in order, each with its options."""
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
EXTERNAL_DATA_FOLDER = "session.model_external_initializers_file_folder_path"
log = logging.getLogger("thimble")

# Rows of a batch. A core gains nothing beyond 64 and a small batch keeps others waiting for less; a GPU wants many.
BATCH_ROWS = {CPU: 64, CUDA: 4096}
# What the ids of bags in a batch may weigh, where nothing is said of its rows.
BATCH_BYTES = 64 << 20
# How long batches may hold the event loop. On a CPU it takes the loop's own core wherever it runs, and to hand it to a
# thread and back costs more than it gains (benchmarks/serving); a GPU works while the loop reads requests.
INLINE_SECONDS = {CPU: 0.005, CUDA: 0.0}
# A GPU's arena grows by what is asked for, not to the next power of two; graphs are captured (`buffers`); float32 is
# float32, where TensorFloat's 10 bits would miss the golden rows.
CUDA_OPTIONS = {"arena_extend_strategy": "kSameAsRequested", "enable_cuda_graph": "1", "use_tf32": "0"}


def check_runtime() -> None:
    """Both runtime packages own the folder onnxruntime/, so which of two installed ones runs is an accident."""
    if all(any(distributions(name=name)) for name in ("onnxruntime", "onnxruntime-gpu")):
        raise StartupError(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other; uninstall both, then "
            "install this package with the extra cpu or gpu"
        )


class Engine:
    """A session whose golden rows score as they should. `provider` is the one that really runs.

    `lookup` says what does the lookup: the native op, or the model's own function; None for a model that has none.
    Rows are run in batches of at most `batch_rows`, from and to buffers that are made once, so memory stays as it is
    whatever is asked. One thread at a time.
    """

    def __init__(
        self, artifact: Artifact, device: Device, threads: int, native: NativeOps | None = None, batch_rows: int = 0
    ) -> None:
        """`batch_rows`: 0 is what suits the provider.

        ArtifactError: the model does not run, or its golden rows score otherwise. StartupError: no such device.
        """
        self.spec = artifact.spec
        self.lookup: Lookup | None = "function" if isinstance(self.spec.embedding, HashedEmbedding) else None
        providers = _providers(device)
        if self.lookup and native and native.providers & set(providers):
            try:
                self._open(artifact, providers, threads, batch_rows, native)
                self.lookup = "native"
            except ArtifactError as error:  # it may still run without
                log.info("no native lookup for %s", error)
        if self.lookup != "native":
            self._open(artifact, providers, threads, batch_rows, None)
        if device == "cuda" and self.provider != CUDA:
            raise StartupError("--device cuda was asked for, but ONNX Runtime finds no GPU that it can use")

    def _open(
        self, artifact: Artifact, providers: Providers, threads: int, batch_rows: int, native: NativeOps | None
    ) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry(EXTERNAL_DATA_FOLDER, str(artifact.path.parent.resolve()))
        try:
            if native:
                options.register_custom_ops_library(str(native.path))
            session = onnxruntime.InferenceSession(artifact.content, options, providers=list(providers.items()))
            session.disable_fallback()
            session._model_bytes = None  # kept for the fallback alone, a second copy of every model
        except Exception as error:  # ORT has no public base class for its errors
            raise ArtifactError(f"{artifact.path}: ONNX Runtime refuses it: {_one_line(error)}") from None
        artifact.check_mapped()
        self.provider: str = session.get_providers()[0]
        if native and self.provider not in native.providers:
            raise ArtifactError(f"{artifact.path}: {native.path} has no kernel for {self.provider}")
        self.batch_rows = batch_rows or rows_within(self.spec, BATCH_ROWS[self.provider], BATCH_BYTES)
        self.inline_seconds = INLINE_SECONDS[self.provider]
        self._host = HostBuffers(self.spec.inputs, self.batch_rows)
        try:
            runner = BucketRunner if self.provider == CUDA else CpuRunner
            self._runs = runner(session, self._host, outputs=self.spec.outputs)
            self.check()
        except ArtifactError as error:
            raise ArtifactError(f"{artifact.path}: {error}") from None

    def fill(self, parts: Sequence[Batch]) -> int:
        """Put parts of at most `batch_rows` rows together into the buffers; returns how many rows they are."""
        return self._host.fill(parts)

    def run(self, rows: int) -> Floats:
        """Probabilities of the rows that were filled in, float32 [rows], of several answers [rows, heads]."""
        return self._runs.run(rows)

    def score(self, batch: Batch) -> Floats:
        """The same of any number of rows."""
        scores = empty_scores(batch.rows, self.spec.heads)
        for start in range(0, batch.rows, self.batch_rows):
            stop = start + self.batch_rows
            scores[start:stop] = self.run(self.fill([batch.part(start, stop)]))
        return scores

    def warm_up(self, pause: float = 0) -> Cost:
        """Run every size of batch that there is to be ready for, so that no request pays for a first time.

        Before each run the thread pauses for so many seconds, for the sake of others that want the core.
        """
        if any(self.spec.bags):  # without ids they would cost nothing
            self._fill_in_golden_rows()
        for rows in sizes(self.batch_rows)[1:-1]:  # the first and the last are measured
            sleep(pause)
            self.run(rows)
        return measured(self.batch_rows, self.run, pause)

    def _fill_in_golden_rows(self) -> None:
        """As many as a batch has, again and again."""
        assert self.spec.golden is not None
        golden = golden_batch(self.spec, self.spec.golden)
        times = -(-self.batch_rows // golden.rows)
        self.fill([Batch.joined([golden] * times).part(0, self.batch_rows)])

    def check(self) -> None:
        """Score the golden rows. ArtifactError: it does not run, or they score otherwise than they should."""
        golden = self.spec.golden
        assert golden is not None
        batch = golden_batch(self.spec, golden)
        try:
            scores = self.score(batch)
        except Exception as error:  # as above
            raise ArtifactError(f"it does not run: {_one_line(error)}") from None
        tolerance = self.spec.precision.golden_tolerance
        for name, found, expected in zip(self.spec.outputs, columns_of(scores), golden.by_output.values(), strict=True):
            off = np.abs(found - np.array(expected))
            row = int(np.nan_to_num(off, nan=np.inf).argmax())
            if not off[row] <= tolerance:
                of_answer = f"{name} of golden row {row} is" if self.spec.heads else f"golden row {row} scores"
                raise ArtifactError(
                    f"{of_answer} {found[row]:.6f} on {self.provider}, not {expected[row]:.6f} "
                    f"(tolerance {tolerance:g}): the weights are not those that were exported"
                )


def golden_batch(spec: ModelSpec, golden: GoldenRows) -> Batch:
    """Golden rows as the model takes them. ArtifactError: a value that its feature does not take."""
    try:
        return batch_from_values(spec, [golden.features[name] for name in spec.feature_names])
    except FeatureError as error:
        # not the value: it may be a real one, and this goes to logs and to whoever pushes the file
        raise ArtifactError(f"golden row {error.row}: {error.feature} has a value that it does not take") from None


def may_use_cuda(device: Device) -> bool:
    """Whether ONNX Runtime tries to, be it that there is no GPU."""
    return device != "cpu" and CUDA in onnxruntime.get_available_providers()


def _providers(device: Device) -> Providers:
    if not may_use_cuda(device):
        return {CPU: {}}
    onnxruntime.preload_dlls()
    return {CUDA: CUDA_OPTIONS, CPU: {}}


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
