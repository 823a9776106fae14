"""What a benchmark writes down: its results, and what they were measured on."""

import json
import subprocess
from pathlib import Path
from typing import Any

from thimble.loadtests.results.machine import this_machine

ROOT = Path(__file__).parents[1]


def record(folder: Path, name: str, results: Any, table: str) -> None:
    """Write results into a folder, as NAME.json and as a table for people in NAME.md."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n")
    (folder / f"{name}.md").write_text(table.rstrip("\n") + "\n")


def processor() -> dict[str, Any]:
    """The processor's name and whether it multiplies int8 in one instruction (VNNI)."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    return {"name": this_machine().processor, "vnni": bool({"avx512_vnni", "avx_vnni"} & {*flags})}


def measured_on() -> dict[str, Any]:
    """The processor and the commit."""
    return {"processor": processor(), "commit": commit()}


def commit() -> str:
    """The abbreviated hash of the commit that is checked out."""
    command = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
