"""A new version of a model: how it gets there, and how long it takes until it answers."""

import json
import os
import shutil
import time
import urllib.error
import urllib.request
from pathlib import Path

from thimble.loadtests.compare.deployments import DeploymentError, Server, VersionFolder
from thimble.loadtests.traffic.direct import open_url
from thimble.models.spec import MODEL_FILE

RELEASE_SECONDS = 600


def copy(version: VersionFolder, folder: Path) -> float:
    """Copy a version's files and wait until they are on the disk. Returns the seconds."""
    start = time.perf_counter()
    folder.mkdir(parents=True)
    for path in version.files:
        shutil.copyfile(path, folder / path.name)
        with (folder / path.name).open("rb") as file:
            os.fsync(file.fileno())
    return time.perf_counter() - start


def push(server: Server, version: VersionFolder, number: int) -> float | None:
    """Put a version into the server's repository over HTTP. Seconds, None if it is more than one file."""
    if [path.name for path in version.files] != [MODEL_FILE]:
        return None
    content = (version.folder / MODEL_FILE).read_bytes()
    return _put(server, f"/v1/models/{version.model}/versions/{number}", content)


def release(server: Server, model: str, version: int) -> float:
    """Make a version in the repository the live one. Seconds until that is so. DeploymentError: the server refuses."""
    return _put(server, f"/v1/models/{model}/release", json.dumps({"live": version}).encode())


def _put(server: Server, path: str, body: bytes) -> float:
    request = urllib.request.Request(  # noqa: S310 - a server of ours
        server.url + path, body, {"Authorization": f"Bearer {server.key}"}, method="PUT"
    )
    start = time.perf_counter()
    try:
        with open_url(request, RELEASE_SECONDS) as response:
            response.read()
    except urllib.error.HTTPError as error:
        raise DeploymentError(f"PUT {path} was answered with {error.code}: {error.read()[:300].decode()}") from None
    except OSError as error:
        raise DeploymentError(f"PUT {path}: {error}") from None
    return time.perf_counter() - start
