"""Fetch ONNX Runtime's C headers, which no wheel carries, from the Debian archive that this machine already uses.

    python ops/fetch_headers.py FOLDER

Debian 13's libonnxruntime-dev is downloaded with a package list of its own, checked with Debian's keys, and unpacked
into FOLDER. Nothing is installed, and the machine's own lists stay as they are.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE, SUITE = "libonnxruntime-dev", "trixie"
KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
ANYWHERE = "http://deb.debian.org/debian"
SECONDS = 120


class HeadersError(RuntimeError):
    """Why there are no headers."""


def fetch(folder: Path) -> Path:
    """The folder that holds the headers, fetched unless they are in `folder` already. HeadersError says why not."""
    headers = folder / "usr/include/onnxruntime"
    if (headers / "onnxruntime_cxx_api.h").is_file():
        return headers
    if not KEYS.is_file():
        raise HeadersError(f"{KEYS} is missing, so nothing shows that {PACKAGE} is Debian's")
    with tempfile.TemporaryDirectory() as work:
        apt = _private_apt(Path(work))
        _run(*apt, "update")
        _run(*apt, "download", PACKAGE, cwd=work)
        (package,) = Path(work).glob("*.deb")
        folder.mkdir(parents=True, exist_ok=True)
        _run("dpkg-deb", "--extract", str(package), str(folder))
    return headers


def _private_apt(work: Path) -> list[str]:
    """apt-get with lists, caches and sources under `work` alone."""
    for name in ("lists/partial", "cache/archives/partial", "parts"):
        (work / name).mkdir(parents=True)
    sources = work / "sources.list"
    sources.write_text(f"deb [signed-by={KEYS}] {_archive()} {SUITE} main\n")
    options = {
        "Dir::Etc::SourceList": sources,
        "Dir::Etc::SourceParts": work / "parts",
        "Dir::State::Lists": work / "lists",
        "Dir::Cache": work / "cache",
        "Acquire::Languages": "none",
        "APT::Sandbox::User": "",
    }
    return ["apt-get", "--quiet", *(f"--option={name}={value}" for name, value in options.items())]


def _archive() -> str:
    """The mirror that this machine's own sources name for Debian."""
    targets = ("indextargets", "--format", "$(SUITE) $(REPO_URI)", "Created-By: Packages", "Origin: Debian")
    lines = [line.split(maxsplit=1) for line in _run("apt-get", *targets).splitlines()]
    mirrors = [line[1] for line in lines if len(line) == 2 and "security" not in line[0] + line[1]]
    return mirrors[0] if mirrors else ANYWHERE


def _run(*command: str, cwd: str | None = None) -> str:
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HeadersError(f"{command[0]}: {error}") from None
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).rpartition("\n")[2]
        raise HeadersError(f"{command[0]}: {last}")
    return done.stdout


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: fetch_headers.py FOLDER")
    try:
        print(fetch(Path(sys.argv[1])))
    except HeadersError as error:
        sys.exit(str(error))
