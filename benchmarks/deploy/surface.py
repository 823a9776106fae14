"""What is in the image: its size, its packages' known vulnerabilities, and whether a secret is in any of its layers.

    docker build -t thimble:cpu .
    python -m benchmarks.deploy.surface [--pip-audit COMMAND]

pip-audit asks PyPI's database and is no part of this project: `pip install pip-audit` in an environment of its own.
Secrets are looked for in the layers above the base image, also in files that a later layer removes, and in the image's
settings and history: private keys, keys of clouds and registries, passwords in URLs, and files that hold such things.
"""

import argparse
import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.record import measured_on, record
from testing.docker import IMAGE, ROOT, docker, inspect, version

RESULTS = Path(__file__).parent / "results"
SECRETS = {
    "private key": rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s+[A-Za-z0-9+/]{40}",
    "cloud key": rb"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bAIza[A-Za-z0-9_-]{35}\b",
    "token": rb"\b(?:gh[pousr]_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,}|xox[abp]-[A-Za-z0-9-]{10,})",
    "password in a URL": rb"https?://[A-Za-z0-9._-]+:[A-Za-z0-9._-]{8,}@[a-z]",
    "Thimble's keys": rb"THIMBLE_(?:API|ADMIN)_KEYS=\S",
}
FILES = re.compile(
    r"(^|/)(\.env|\.netrc|\.git|\.npmrc|\.pypirc|\.ssh|\.docker|\.aws|id_[a-z0-9]+|[^/]+\.(key|p12|pfx))$"
)
LISTING = """
from importlib.metadata import distributions
print("\\n".join(sorted({f"{it.name}=={it.version}" for it in distributions() if it.name != "thimble-ctr"})))
"""


def base() -> str:
    """The base image that the Dockerfile names."""
    found = re.search(r"^ARG BASE=(\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert found
    return found.group(1)


def layers_of_ours() -> list[str]:
    """Digests of the image's layers above its base."""
    known = inspect(base())["RootFS"]["Layers"]
    return [layer for layer in inspect(IMAGE)["RootFS"]["Layers"] if layer not in known]


def secrets() -> dict[str, Any]:
    """What was looked at, and what looks like a secret."""
    found, files = [], 0
    settings = json.dumps(inspect(IMAGE)["Config"]) + docker(
        "history", "--no-trunc", "--format", "{{.CreatedBy}}", IMAGE
    )
    found += [f"settings: {kind}" for kind, pattern in SECRETS.items() if re.search(pattern, settings.encode())]
    with TemporaryDirectory() as folder:
        docker("save", "--output", f"{folder}/image.tar", IMAGE)
        with tarfile.open(f"{folder}/image.tar") as image:
            (manifest,) = json.load(_member(image, "manifest.json"))
            above = manifest["Layers"][-len(layers_of_ours()) :]
            for name in above:
                with tarfile.open(fileobj=_member(image, name)) as layer:
                    for entry in layer:
                        files += 1
                        if FILES.search(entry.name):
                            found.append(f"{entry.name}: its name")
                        if entry.isfile():
                            content = _member(layer, entry).read()
                            found += [f"{entry.name}: {kind}" for kind, it in SECRETS.items() if re.search(it, content)]
    return {"layers": len(above), "files": files, "found": found}


def _member(archive: tarfile.TarFile, name: str | tarfile.TarInfo) -> Any:
    file = archive.extractfile(name)
    assert file is not None
    return file


def packages() -> list[str]:
    return docker("run", "--rm", "--entrypoint", "python", IMAGE, "-c", LISTING).splitlines()


def audit(command: str, requirements: list[str]) -> dict[str, Any]:
    """What pip-audit says, or why it says nothing."""
    if not (program := shutil.which(command)):
        return {"unknown": f"{command} is not installed"}
    with TemporaryDirectory() as folder:
        listed = Path(folder, "requirements.txt")
        listed.write_text("\n".join(requirements))
        flags = ("--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json")
        done = subprocess.run([program, "-r", listed, *flags], capture_output=True, text=True)
    if not done.stdout.startswith("{"):
        return {"unknown": done.stderr.strip().rpartition("\n")[2]}
    found = json.loads(done.stdout)["dependencies"]
    if skipped := [it["name"] for it in found if "skip_reason" in it]:
        return {"unknown": f"the database does not answer for {len(skipped)} of {len(found)} packages"}
    return {"audited": len(found), "vulnerable": {it["name"]: it["vulns"] for it in found if it["vulns"]}}


def measure(pip_audit: str) -> dict[str, Any]:
    size, below = inspect(IMAGE)["Size"], inspect(base())["Size"]
    installed = packages()
    return {
        "bytes": {"image": size, "base": below, "above": size - below},
        "packages": installed,
        "pip_audit": audit(pip_audit, installed),
        "secrets": secrets(),
    }


def table(results: dict[str, Any]) -> str:
    """Markdown."""
    size, audited, looked = results["bytes"], results["pip_audit"], results["secrets"]
    known = f"not known: {audited['unknown']}" if "unknown" in audited else f"{len(audited['vulnerable'])}"
    lines = [
        f"Docker {results['docker']}; commit {results['commit']}.",
        "",
        "| | measured | goal |",
        "| --- | ---: | ---: |",
        f"| image, MB uncompressed | {size['image'] / 1e6:.0f} | at most 300 |",
        f"| of these above {base()}, MB | {size['above'] / 1e6:.0f} | at most 180 |",
        f"| packages with known vulnerabilities, of {len(results['packages'])} | {known} | 0 |",
        f"| secrets in {looked['layers']} layers with {looked['files']:,} entries | {len(looked['found'])} | 0 |",
    ]
    return "\n".join([*lines, *(f"- {it}" for it in looked["found"])])


def main() -> None:
    parser = argparse.ArgumentParser(description="Size, vulnerabilities and secrets of the image for CPUs.")
    parser.add_argument("--pip-audit", default="pip-audit", help="the command [%(default)s]")
    arguments = parser.parse_args()
    results = measured_on() | {"docker": version()} | measure(arguments.pip_audit)
    record(RESULTS, "surface", results, table(results))
    print(table(results))


if __name__ == "__main__":
    main()
