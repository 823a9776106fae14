"""Checkpoints by other projects' own code, each imported by the command line with the scores that the code gives.

    python -m benchmarks.importing.projects SOURCES [--python PYTHON] [PROJECT ...]

SOURCES has what the modules of the projects beside this one say to clone. PYTHON is that of an environment with what
they say to install, if it is not this one. Of each variant 1,000 rows are scored by the project's code in float64 and
given as `--expect`, which is read as float32. Told is by how much the artifact's scores differ from them at most, and
by how much the code's own float32 scores do, or the sentence with which the import is refused. Prints a table and
writes it into `results/`.
"""

import argparse
import csv
import re
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.importing.checkpoints import CHECKPOINT, Variant
from benchmarks.record import ROOT, measured_on, record

RESULTS = Path(__file__).parent / "results"
PROJECTS = {
    **{name: name for name in ("facebook", "torchrec", "robe", "nvidia", "fuxictr")},
    "deepctr-torch": "deepctr_torch",
}
"""The modules, by the names of the formats."""
WITHIN = re.compile(r"([\d,]+) rows, scores within (\S+) of the expected")


def examined(format: str, name: str, variant: Variant, sources: Path, python: str) -> dict[str, Any]:
    """Make a checkpoint and import it."""
    with tempfile.TemporaryDirectory() as made:
        making = [python, "-m", "benchmarks.importing.make", PROJECTS[format], name, str(sources), made]
        done = subprocess.run(making, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{format}, {name}:\n{done.stderr}")
        return {"format": format, "variant": name, "made_by": variant.made_by, **imported(format, variant, Path(made))}


def imported(format: str, variant: Variant, folder: Path) -> dict[str, Any]:
    """What the command line makes of a checkpoint, and of the scores beside it if there are any."""
    command = [sys.executable, "-c", "from thimble.export.cli import main; main()", "import", CHECKPOINT]
    command += ["--format", format, "--features", "features.yaml", *variant.options]
    scored: dict[str, Any] = {}
    if (folder / "expect.csv").exists():
        command += ["--expect", "expect.csv"]
        with (folder / "expect.csv").open(newline="") as file:
            expected = np.array([float(row["score"]) for row in csv.DictReader(file)])
        scored = {
            **{"rows": len(expected), "lowest": float(expected.min()), "highest": float(expected.max())},
            "own_float32": float(abs(np.load(folder / "single.npy") - expected).max()),
        }
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    told = {"options": variant.options, **scored, "difference": None, "refused": None}
    if done.returncode:
        assert done.returncode == 1, done.stderr
        return told | {"refused": done.stderr.strip().removeprefix("thimble-export: ")}
    found = WITHIN.search(done.stdout)
    assert found and found[1].replace(",", "") == str(told["rows"]), done.stdout
    return told | {"difference": float(found[2])}


def table(results: list[dict[str, Any]]) -> str:
    """Markdown: the imported ones, then the refused ones."""
    lines = ["| format | model | made by | options | scores | differ by at most | its own float32 by |"]
    lines.append("| --- " * 4 + "| ---: " * 3 + "|")
    for it in results:
        if it["refused"] is None:
            options = f"`{' '.join(it['options'])}`" if it["options"] else ""
            lines.append(
                f"| `{it['format']}` | {it['variant']} | {it['made_by']} | {options} | {it['lowest']:.3f} to "
                f"{it['highest']:.3f} | {it['difference']:.1e} | {_own(it)} |"
            )
    lines += ["", "| format | model | made by | its own float32 by | refused, saying |"]
    lines.append("| --- " * 3 + "| ---: | --- |")
    lines += [
        f"| `{it['format']}` | {it['variant']} | {it['made_by']} | {_own(it)} | {it['refused']} |"
        for it in results
        if it["refused"] is not None
    ]
    return "\n".join(lines)


def _own(result: dict[str, Any]) -> str:
    return f"{result['own_float32']:.1e}" if "own_float32" in result else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", type=Path, help="folder of the projects' sources")
    parser.add_argument("projects", nargs="*", help=f"of {', '.join(PROJECTS)}; all if none is named")
    parser.add_argument("--python", default=sys.executable, help="what makes the checkpoints")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder to write to")
    given = parser.parse_args()
    results: list[dict[str, Any]] = []
    for format in given.projects or PROJECTS:
        variants: dict[str, Variant] = import_module(f"benchmarks.importing.{PROJECTS[format]}").VARIANTS
        for name, variant in variants.items():
            results.append(examined(format, name, variant, given.sources, given.python))
            print(results[-1], flush=True)
            record(given.results, "projects", {"measured_on": measured_on(), "runs": results}, table(results))
    print(table(results))


if __name__ == "__main__":
    main()
