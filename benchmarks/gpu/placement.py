"""Which provider runs each node of a model, and whether the golden rows score there as they should."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.device import Device
from testing.runtimes import run
from thimble.export.clicks.golden import golden_batch
from thimble.export.scoring.evaluate import read_spec


def placement(device: Device, path: Path, library: Path | None) -> dict[str, Any]:
    """`elsewhere` counts nodes on other providers by operator, `copies` those that move data between providers."""
    spec = read_spec(path)
    assert spec.golden is not None
    (scores,), nodes = run(path, [golden_batch(spec, spec.golden.features)._asdict()], library, device.providers)
    return {
        "nodes": len(nodes),
        "elsewhere": dict(Counter(node.op for node in nodes if node.provider != device.provider)),
        "copies": sum(node.op.startswith("Memcpy") for node in nodes),
        "golden_difference": float(np.abs(scores - spec.golden.scores).max()),
        "golden_tolerance": spec.precision.golden_tolerance,
    }
