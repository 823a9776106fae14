"""One model in ONNX Runtime."""

import logging
import os
from importlib.metadata import PackageNotFoundError, distribution
from typing import Literal

import numpy as np
import onnxruntime

from models.features import Batch, FeatureError, batch_from_values
from models.hashing import Floats
from models.spec import FullEmbedding, GoldenRows, MlpPrecision, ModelSpec
from service.artifact import Artifact, ArtifactError
from service.errors import StartupError
from service.native import NativeOps

Device = Literal["auto", "cpu", "cuda"]
Lookup = Literal["native", "function"]
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
EXTERNAL_DATA_FOLDER = "session.model_external_initializers_file_folder_path"
log = logging.getLogger("thimble")

# How far a golden row's score may be from the one written: processors and providers add in different orders, and an
# int8 layer makes a whole step of the last bit of a sum that is rounded.
GOLDEN_TOLERANCE: dict[MlpPrecision, float] = {"fp32": 1e-4, "fp16": 1e-4, "int8": 5e-3}


def check_runtime() -> None:
    """Both runtime packages own the folder onnxruntime/, so which of two installed ones runs is an accident."""
    installed = [name for name in ("onnxruntime", "onnxruntime-gpu") if _installed(name)]
    if len(installed) > 1:
        raise StartupError(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other; uninstall both, then "
            "install thimble[cpu] or thimble[gpu]"
        )


class Engine:
    """A session whose golden rows score as they should. `provider` is the one that really runs.

    `lookup` says what does the lookup: the native op, or the model's own function; None for a model that has none.
    """

    def __init__(self, artifact: Artifact, device: Device, threads: int, native: NativeOps | None = None) -> None:
        """ArtifactError: the model does not run, or its golden rows score otherwise. StartupError: no such device."""
        self.spec = artifact.spec
        self.lookup: Lookup | None = None if isinstance(self.spec.embedding, FullEmbedding) else "function"
        providers = _providers(device)
        if self.lookup and native and native.providers & set(providers):
            try:
                self._open(artifact, providers, threads, native)
                self.lookup = "native"
            except ArtifactError as error:  # it may still run without
                log.info("no native lookup for %s", error)
        if self.lookup != "native":
            self._open(artifact, providers, threads, None)
        if device == "cuda" and self.provider != CUDA:
            raise StartupError("--device cuda was asked for, but ONNX Runtime finds no GPU that it can use")

    def _open(self, artifact: Artifact, providers: list[str], threads: int, native: NativeOps | None) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry(EXTERNAL_DATA_FOLDER, str(artifact.path.parent.resolve()))
        try:
            if native:
                options.register_custom_ops_library(str(native.path))
            self._session = onnxruntime.InferenceSession(artifact.content, options, providers=providers)
        except Exception as error:  # ORT has no public base class for its errors
            raise ArtifactError(f"{artifact.path}: ONNX Runtime refuses it: {_one_line(error)}") from None
        self.provider: str = self._session.get_providers()[0]
        if native and self.provider not in native.providers:
            raise ArtifactError(f"{artifact.path}: {native.path} has no kernel for {self.provider}")
        assert artifact.spec.golden is not None
        try:
            self._check_golden(artifact.spec.golden)
        except ArtifactError as error:
            raise ArtifactError(f"{artifact.path}: {error}") from None

    def score(self, batch: Batch) -> Floats:
        """Click probabilities, float32 [rows]. Any number of threads may call at once."""
        scores: Floats = self._session.run(["score"], {"dense": batch.dense, "ids": batch.ids})[0]
        return scores

    def _check_golden(self, golden: GoldenRows) -> None:
        batch = golden_batch(self.spec, golden)
        try:
            scores = self.score(batch)
        except Exception as error:  # as above
            raise ArtifactError(f"it does not run: {_one_line(error)}") from None
        if scores.shape != (len(golden.scores),):
            raise ArtifactError(f"it answers {len(golden.scores)} golden rows with scores of shape {scores.shape}")
        off = np.abs(scores - np.array(golden.scores))
        row = int(np.nan_to_num(off, nan=np.inf).argmax())
        tolerance = GOLDEN_TOLERANCE[self.spec.precision.mlps]
        if not off[row] <= tolerance:
            raise ArtifactError(
                f"golden row {row} scores {scores[row]:.6f} on {self.provider}, not {golden.scores[row]:.6f} "
                f"(tolerance {tolerance:g}): the weights are not those that were exported"
            )


def golden_batch(spec: ModelSpec, golden: GoldenRows) -> Batch:
    """Golden rows as the model takes them. ArtifactError: a value that its feature does not take."""
    try:
        return batch_from_values(spec, [golden.features[name] for name in spec.feature_names])
    except FeatureError as error:
        raise ArtifactError(f"golden row {error.row}: {error}") from None


def _providers(device: Device) -> list[str]:
    if device == "cpu" or CUDA not in onnxruntime.get_available_providers():
        return [CPU]
    onnxruntime.preload_dlls()
    return [CUDA, CPU]


def _installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
