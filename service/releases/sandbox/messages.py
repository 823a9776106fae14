"""What the server and the sandbox process tell each other: a file to verify, and what was found."""

from pathlib import Path

import xxhash
from pydantic import BaseModel, ConfigDict

from thimble.models.spec import ModelSpec
from thimble.service.engine.artifact import Artifact, ArtifactError, read_content
from thimble.service.engine.engine import Device


class Task(BaseModel):
    """A file to verify, and how it would be run, which the settings of the same names say.

    `rows` are to be scored: the bytes of a batch's tensors, in their order.
    """

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    path: Path
    max_model_bytes: int
    device: Device
    threads: int
    batch_rows: int
    ops_library: Path | None
    rows: list[bytes] = []


class Verdict(BaseModel):
    """What the sandbox process found: the digest and the spec of a good file, or why it is refused.

    `finite` says of each row that was to be scored whether its score is a finite number.
    """

    digest: str = ""
    spec: ModelSpec | None = None
    finite: list[bool] = []
    refused: str | None = None

    def artifact(self, task: Task) -> Artifact:
        """The file that was verified, read again. ArtifactError: it is another one by now, or gone."""
        assert self.spec is not None
        content = read_content(task.path, task.max_model_bytes)
        if digest(content) != self.digest:
            raise ArtifactError(f"{task.path}: changed while it was being loaded")
        return Artifact(task.path, content, self.spec)


def digest(content: bytes) -> str:
    """It tells one version from another written meanwhile, which needs no cryptography."""
    return xxhash.xxh3_128_hexdigest(content)
