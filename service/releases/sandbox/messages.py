"""What the server and the sandbox process tell each other: a file to verify, and what was found."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict

from thimble.models.files import Stamp, digest
from thimble.models.spec import ModelSpec
from thimble.service.engine.artifact import Artifact, ArtifactError, read_content, unreadable
from thimble.service.engine.engine import Device
from thimble.service.engine.external import ExternalData, ExternalDataError


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

    `external` is the state of each file of external data, by its name, in which it was proven.
    `finite` says of each row that was to be scored whether its score is a finite number.
    `unavailable` says why nothing could be found out.
    """

    digest: str = ""
    spec: ModelSpec | None = None
    external: dict[str, Stamp] = {}
    finite: list[bool] = []
    refused: str | None = None
    unavailable: str | None = None

    @classmethod
    def good(cls, artifact: Artifact, finite: list[bool]) -> Self:
        proven = {name: data.proven for name, data in artifact.external.items()}
        return cls(digest=digest(artifact.content), spec=artifact.spec, external=proven, finite=finite)

    def artifact(self, task: Task) -> Artifact:
        """The file that was verified, read again, and its external data.

        External data is not read again, which for full tables takes long: its state tells that it is the same.
        ArtifactError: it is another by now, or gone. UnavailableError: it cannot be read now.
        """
        assert self.spec is not None
        content = read_content(task.path, task.max_model_bytes)
        if digest(content) != self.digest:
            raise ArtifactError(f"{task.path}: changed while it was being loaded")
        exported = self.spec.external_data or {}
        try:
            external = {
                name: ExternalData(task.path.with_name(name), exported[name], stamp)
                for name, stamp in self.external.items()
            }
        except ExternalDataError as error:
            raise ArtifactError(f"{task.path}: {error}") from None
        except OSError as error:
            raise unreadable(task.path, error) from None
        return Artifact(task.path, content, self.spec, external)
