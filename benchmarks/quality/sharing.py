"""Does what `thimble-export plan` says of sharing tell what compression costs?

    python -m benchmarks.quality.sharing --generate 1000000 --seeds 3

Clicks of the preset `feed`, one epoch with the default recipe. The opponent are full tables with a row for each id that
comes at least twice. Beside them stand shared memories of several sizes in float32, with the others' share that the
plan has for them, and by how much they fall short in AUC.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import measured_on, record
from thimble.export.clicks.generate import GeneratedClicks
from thimble.export.clicks.rows import Parts, Rows
from thimble.export.plan.memory_plan import sharing
from thimble.export.plan.read_ids import known_ids
from thimble.export.training.full_tables import indexed
from thimble.export.training.recipe import recipe_for
from thimble.export.training.schema import preset_spec
from thimble.export.training.train import train
from thimble.export.wording import size

RESULTS = Path(__file__).parent / "results"
PRESET = "feed"
MODELS = [
    *(("block", memory) for memory in (26_000_000, 8_000_000, 2_600_000, 800_000, 260_000)),
    *(("robe-v1", memory) for memory in (2_600_000, 260_000)),
]


def trained(rows: int, seed: int) -> list[dict[str, Any]]:
    """Full tables first, then each memory on the same rows."""
    recipe = recipe_for(rows, validated=False, seed=seed)
    held_out = max(20_000, rows // 10)
    results: list[dict[str, Any]] = []
    for scheme, memory in [("full", None), *MODELS]:
        spec = preset_spec(PRESET, None, scheme, memory, None, seed, "fp32")
        source = GeneratedClicks(spec, rows + held_out, seed)
        parts = Parts(Rows(source, 0, rows), Rows(source, rows, rows + held_out))
        keys, share = None, 0.0
        if scheme == "full":
            spec, keys = indexed(spec, parts.training)
        else:
            found = sharing(spec, known_ids(spec, rows))
            share = next(it.shared_share for it in found if (it.scheme, it.precision) == (scheme, "fp32"))
        with tempfile.TemporaryDirectory() as folder:
            metrics = train(spec, parts, recipe, Path(folder), keys=keys)
        results.append(
            {
                "scheme": scheme,
                "seed": seed,
                "embedding_bytes": spec.embedding_bytes,
                "others_share": share,
                "auc": metrics.auc,
                "best_auc": metrics.best_auc,
                "log_loss": metrics.log_loss,
            }
        )
        print(results[-1], flush=True)
    return results


def table(results: list[dict[str, Any]]) -> str:
    """Markdown: means over seeds, and the standard deviation of the differences."""
    full = {it["seed"]: it["auc"] for it in results if it["scheme"] == "full"}
    best = np.mean([it["best_auc"] for it in results])
    lines = [
        f"AUC of full tables {np.mean([*full.values()]):.4f}, best reachable {best:.4f}; {len(full)} seeds.",
        "",
        "| memory | bytes | others' share | AUC | less than full tables by | +- |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for scheme, memory in MODELS:
        same = [it for it in results if it["scheme"] == scheme and abs(it["embedding_bytes"] - memory) < 100]
        costs = [full[it["seed"]] - it["auc"] for it in same]
        share, auc = same[0]["others_share"], np.mean([it["auc"] for it in same])
        cells = [scheme, size(memory), f"{share:.1%}", f"{auc:.4f}", f"{np.mean(costs):.4f}", f"{np.std(costs):.4f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generate", type=int, default=1_000_000, help="generated rows to train on")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    results = [it for seed in range(arguments.seeds) for it in trained(arguments.generate, seed)]
    written = {**measured_on(), "rows": arguments.generate, "results": results}
    record(RESULTS, "sharing", written, table(results))
    print(table(results))


if __name__ == "__main__":
    main()
