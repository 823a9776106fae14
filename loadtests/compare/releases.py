"""A new version of a model: how it gets there, and how long it takes until it answers."""

import json
import os
import shutil
import time
import urllib.error
import urllib.request
from pathlib import Path

from pydantic import BaseModel

from thimble.loadtests.compare.deployments import MODEL_FILE, Artifact, DeploymentError, Server

RELEASE_SECONDS = 600


class Swap(BaseModel):
    """Seconds. `copied` is how long the disk took to copy the files of a version, `pushed` how long the server took to
    take it over HTTP and to verify it (None where it is more than one file, which cannot be pushed), `released` how
    long the call took that makes a version in the repository the live one, while the server goes on."""

    copied: float
    pushed: float | None
    released: float


def copy(artifact: Artifact, folder: Path) -> float:
    """Copy a version's files and wait until they are on the disk. Returns the seconds."""
    start = time.perf_counter()
    folder.mkdir(parents=True)
    for path in artifact.files:
        shutil.copyfile(path, folder / path.name)
        with (folder / path.name).open("rb") as file:
            os.fsync(file.fileno())
    return time.perf_counter() - start


def push(server: Server, artifact: Artifact, version: int) -> float | None:
    """Put a version into the server's repository over HTTP. Seconds, None if it is more than one file."""
    if [path.name for path in artifact.files] != [MODEL_FILE]:
        return None
    content = (artifact.folder / MODEL_FILE).read_bytes()
    return _put(server, f"/v1/models/{artifact.model}/versions/{version}", content)


def release(server: Server, model: str, version: int) -> float:
    """Make a version in the repository the live one. Seconds until that is so. DeploymentError: the server refuses."""
    return _put(server, f"/v1/models/{model}/release", json.dumps({"live": version}).encode())


def _put(server: Server, path: str, body: bytes) -> float:
    request = urllib.request.Request(  # noqa: S310 - a server of ours
        server.url + path, body, {"Authorization": f"Bearer {server.key}"}, method="PUT"
    )
    start = time.perf_counter()
    try:
        with urllib.request.urlopen(request, timeout=RELEASE_SECONDS) as response:  # noqa: S310
            response.read()
    except urllib.error.HTTPError as error:
        raise DeploymentError(f"PUT {path} was answered with {error.code}: {error.read()[:300].decode()}") from None
    except OSError as error:
        raise DeploymentError(f"PUT {path}: {error}") from None
    return time.perf_counter() - start
