"""The servers that are compared: how each is started, what it speaks, and its version."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from benchmarks.serving.rivals.session import MODEL, ROOT
from testing.load import Request
from testing.messages import arrays_json, infer_binary, infer_json, plain_json, rows_json, score_json
from thimble.models.features import Batch
from thimble.models.hashing import Floats

Builder = Callable[[Batch, Floats | None], Request]
JSON, OIP_JSON, OIP_BINARY = "JSON", "OIP JSON", "OIP binary"
HERE = Path(sys.prefix)


@dataclass(frozen=True)
class Candidate:
    """A server to compare. `command` lacks the port, which comes last; no request may have more than `most_rows`."""

    name: str
    package: str
    command: list[str | Path]
    ready: str
    wires: Mapping[str, Builder]
    environment: Path = HERE
    most_rows: int = 1 << 30
    env: Mapping[str, str] = field(default_factory=lambda: {"PYTHONPATH": str(ROOT)})

    @property
    def version(self) -> str:
        """Of its package, as installed. RuntimeError: it is not."""
        (folder,) = self.environment.glob("lib/python3*/site-packages") or [self.environment]
        for distribution in metadata.distributions(name=self.package, path=[str(folder)]):
            return distribution.version
        raise RuntimeError(f"{self.name} is not installed in {self.environment}")


def rival(name: str, package: str, ready: str, wires: Mapping[str, Builder]) -> Candidate:
    environment = ROOT / "build" / "rivals" / name
    command: list[str | Path] = [environment / "bin" / "python", "-P", "-m", f"benchmarks.serving.rivals.{name}"]
    return Candidate(name, package, command, ready, wires, environment)


CANDIDATES = [
    Candidate(
        "thimble",
        "thimble-ctr",
        [HERE / "bin" / "thimble-serve", MODEL, "--device", "cpu", "--threads", "1", "--port"],
        "/readyz",
        {JSON: score_json, OIP_JSON: infer_json, OIP_BINARY: infer_binary},
    ),
    Candidate(
        "plain",
        "fastapi",
        [sys.executable, "-P", "-m", "benchmarks.serving.rivals.plain"],
        "/healthz",
        {JSON: plain_json},
        most_rows=1,
    ),
    rival("litserve", "litserve", "/health", {JSON: arrays_json}),
    rival("bentoml", "bentoml", "/readyz", {JSON: rows_json}),
    rival("ray", "ray", "/-/healthz", {JSON: arrays_json}),
    rival("mlserver", "mlserver", "/v2/health/ready", {OIP_JSON: infer_json}),
    rival("pytriton", "nvidia-pytriton", "/v2/models/demo/ready", {OIP_JSON: infer_json, OIP_BINARY: infer_binary}),
]
