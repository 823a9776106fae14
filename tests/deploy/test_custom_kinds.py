"""The kinds that operators bring, held against what their projects publish of them for Python."""

import ast
import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.manifests import KUBERNETES, ROOT

BUILD = ROOT / "build" / "custom_kinds"
OPERATOR = "cloudcoil-models-prometheus-operator==0.80.1.0"
KSERVE = "kserve==0.21.0"
VALIDATE = """
import json, sys
from cloudcoil.models.prometheus_operator import v1
getattr(v1, sys.argv[1]).model_validate(json.load(sys.stdin), extra="forbid")
"""
MODELS = BUILD / "kserve" / "kserve" / "models"
# of Kubernetes itself, so test_kubernetes.py looks at them
KNOWN = {"V1ObjectMeta", "V1Container", "V1PodSecurityContext"}


def install(folder: Path, *packages: str) -> None:
    if not folder.exists():
        pip: list[str | Path] = [sys.executable, "-m", "pip", "install", "--quiet", "--target", folder, *packages]
        done = subprocess.run(pip, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"{packages[-1]} could not be installed: {done.stderr.strip()[-300:]}")


def loaded(path: str) -> Any:
    return yaml.safe_load((KUBERNETES / path).read_text())


@pytest.mark.proof
@pytest.mark.parametrize("slip", [False, True])
@pytest.mark.parametrize("file", ["monitor.yaml", "rules.yaml"])
def test_the_prometheus_operator_knows_every_field(file: str, slip: bool) -> None:
    install(BUILD / "operator", OPERATOR)
    manifest = loaded(f"components/monitoring/{file}")
    if slip:
        manifest["spec"]["jobLabels"] = "name"
    env = {**os.environ, "PYTHONPATH": str(BUILD / "operator")}
    done = subprocess.run(
        [sys.executable, "-c", VALIDATE, manifest["kind"]],
        input=json.dumps(manifest),
        env=env,
        capture_output=True,
        text=True,
    )
    assert ("jobLabels" in done.stderr) if slip else done.returncode == 0, done.stderr


@cache
def fields(name: str) -> dict[str, str]:
    """The types of the fields of one of KServe's classes, which need not be imported for that."""
    (text,) = [text for path in MODELS.glob("*.py") if f"class {name}(object)" in (text := path.read_text())]
    (body,) = [node.body for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]
    found = {
        target.id: ast.literal_eval(node.value)
        for node in body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id in ("openapi_types", "attribute_map")
    }
    return {found["attribute_map"][field]: kind for field, kind in found["openapi_types"].items()}


def check(value: Any, kind: str, where: str) -> None:
    """AssertionError: something in a value is not of the kind that KServe declares."""
    if of := re.fullmatch(r"list\[(.*)\]", kind):
        assert isinstance(value, list), where
        for item in value:
            check(item, of[1], where)
    elif of := re.fullmatch(r"dict\(str, (.*)\)", kind):
        for key, item in value.items():
            check(item, of[1], f"{where}.{key}")
    elif kind in ("str", "bool", "int"):
        assert type(value).__name__ == kind, where
    elif kind not in KNOWN:
        for key, item in value.items():
            assert key in fields(kind), f"{where}.{key}"
            check(item, fields(kind)[key], f"{where}.{key}")


@pytest.mark.proof
@pytest.mark.parametrize(
    ("file", "kind"), [("runtime.yaml", "V1alpha1ServingRuntime"), ("service.yaml", "V1beta1InferenceService")]
)
def test_kserve_knows_every_field(file: str, kind: str) -> None:
    install(BUILD / "kserve", "--no-deps", KSERVE)
    manifest = loaded(f"kserve/{file}")
    check(manifest, kind, file)
    manifest["spec"]["multimodel"] = True
    with pytest.raises(AssertionError, match="multimodel"):
        check(manifest, kind, file)
