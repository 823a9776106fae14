"""The results, as far as they are known, as a page of Markdown."""

import textwrap
from collections.abc import Iterator
from typing import Any

from benchmarks.gpu.speed import BATCHES


def page(result: dict[str, Any]) -> str:
    machine = result["machine"]
    if "driver" in machine:
        where = f"driver {machine['driver']} (CUDA {machine['driver_cuda']})"
    else:
        where = "one thread, no GPU"
    about = f"{machine['chip']}, {where}, onnxruntime {machine['onnxruntime']}"
    if "onnxruntime_cuda" in machine:
        about += f" for CUDA {machine['onnxruntime_cuda']}"
    sections = {"equality": equality, "placement": placement, "speed": speed, "full_table": full_table}
    return (
        "\n\n".join(
            [
                f"{about}; times are medians of {result['runs']} runs, taken in turns.",
                *("\n".join(section(result[name])) for name, section in sections.items() if name in result),
            ]
        )
        + "\n"
    )


def equality(found: dict[str, Any]) -> Iterator[str]:
    wrong = found["wrong"]
    yield f"**Equality.** {found['compared']} lookups against the numpy definition, bit for bit: {len(wrong)} wrong."
    yield from ([""] + [f"- {sentence}" for sentence in wrong] if wrong else [])


def placement(found: dict[str, Any]) -> Iterator[str]:
    yield "**Placement.** Nodes that ran on another provider, by operator, and golden rows beside the scores written:"
    yield ""
    yield "| model, lookup | nodes | elsewhere | copies | largest difference | tolerance |"
    yield "| --- | ---: | --- | ---: | ---: | ---: |"
    for name, row in found.items():
        elsewhere = ", ".join(f"{count} {op}" for op, count in row["elsewhere"].items()) or "none"
        golden = f"{row['golden_difference']:.1e} | {row['golden_tolerance']:g}"
        yield f"| {name} | {row['nodes']} | {elsewhere} | {row['copies']} | {golden} |"


def speed(found: dict[str, Any]) -> Iterator[str]:
    medians: dict[str, dict[str, float]] = found["median_ms"]
    sizes = [str(size) for size in BATCHES]
    yield "**Speed.** Milliseconds a batch (thousands of rows a second), and how far scores are from the processor's:"
    yield ""
    yield "| model, lookup | " + " | ".join(sizes) + " | scores |"
    yield "| --- |" + " ---: |" * (len(sizes) + 1)
    for name, by_size in medians.items():
        cells = [f"{by_size[s]:.3f} ({int(s) / by_size[s]:,.1f})" if s in by_size else "refused" for s in sizes]
        yield f"| {name} | {' | '.join(cells)} | {found['score_difference'].get(name, float('nan')):.1e} |"
    if found["refused"]:
        yield ""
    for name, reason in found["refused"].items():
        yield f"- {name} is refused: {textwrap.shorten(reason, 300)}"


def full_table(found: dict[str, Any]) -> Iterator[str]:
    medians: dict[str, dict[str, float]] = found["median_ms"]
    yield f"**Lookup** alone, beside Gather on a table of {found['table_gb']:g} GB, in milliseconds a batch:"
    yield ""
    yield "| batch | " + " | ".join(next(iter(medians.values()))) + " |"
    yield "| ---: |" + " ---: |" * len(next(iter(medians.values())))
    for size, by_name in medians.items():
        yield f"| {size} | " + " | ".join(f"{ms:.3f}" for ms in by_name.values()) + " |"
