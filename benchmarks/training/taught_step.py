"""What a step takes more where a teacher scores its rows: full tables of the same MLPs, by ONNX Runtime.

    python -m benchmarks.training.taught_step

Both kinds of steps take turns in one process, with one thread, whose CPU time counts. The clicks are generated for
Criteo-Kaggle's fields. Writes results/taught-step.json and .md beside this file.
"""

import argparse
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import onnxruntime
import torch

from benchmarks.record import measured_on, record
from benchmarks.training.turns import Contestant, measure
from thimble.export.artifact.agreement import onnx_scores
from thimble.export.artifact.untrained import export_untrained, resized
from thimble.export.clicks.generate import GeneratedClicks
from thimble.export.commands.teaching import teaching_by
from thimble.export.training.recipe import Recipe
from thimble.export.training.schema import preset_spec
from thimble.export.training.start import started
from thimble.export.training.step import Step
from thimble.export.training.teacher import Teaching

RESULTS = Path(__file__).parent / "results"
SIZES = [512, 2048]
BATCHES = 8
TABLE_ROWS = 1_000_000
ALONE, TAUGHT = "alone", "with a teacher"


def on_one_thread(teaching: Teaching) -> Teaching:
    """The same teacher, whose session has as many threads as torch."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(str(teaching.path), options, providers=["CPUExecutionProvider"])
    return replace(teaching, score=partial(onnx_scores, session))


def compare(size: int, rounds: int, folder: Path) -> dict[str, Any]:
    """The figures of steps of so many rows."""
    spec = preset_spec("criteo-kaggle", None, "block", None, None, 0)
    path = folder / "criteo-kaggle" / "1" / "model.onnx"
    if not path.exists():
        export_untrained(
            resized(preset_spec("criteo-kaggle", "criteo-kaggle", "full", None, None, 0), TABLE_ROWS), folder
        )
    batches = list(GeneratedClicks(spec, BATCHES * size, 0).read(0, BATCHES * size, size))
    teachers = {ALONE: None, TAUGHT: on_one_thread(teaching_by(path, spec, {}))}
    steps = {
        name: Step(started(spec, 0, torch.device("cpu")), Recipe(batch_size=size), teaching=teaching)
        for name, teaching in teachers.items()
    }
    contestants = [Contestant(name, [partial(step, clicks) for clicks in batches]) for name, step in steps.items()]
    return {"batch": size, **measure(contestants, ALONE, rounds, threads=1)}


def table(figures: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = ["| rows a step | alone, ms | with a teacher, ms | times as long |", "| ---: | ---: | ---: | ---: |"]
    for of_size in figures:
        alone, taught = of_size["contestants"][ALONE], of_size["contestants"][TAUGHT]
        lines.append(f"| {of_size['batch']:,} | {alone['ms']:.1f} | {taught['ms']:.1f} | {taught['ratio']:.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        figures = [compare(size, given.rounds, Path(folder)) for size in SIZES]
    record(RESULTS, "taught-step", {"measured_on": measured_on(), "figures": figures}, table(figures))
    print(table(figures))


if __name__ == "__main__":
    main()
