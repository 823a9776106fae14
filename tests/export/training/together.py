"""What test_ranks.py has torchrun start: small runs of every way to update embeddings, one after the other."""

import sys
from pathlib import Path

import numpy as np

from testing.samples import criteo_spec, with_bags
from thimble.export.clicks.generate import GeneratedClicks
from thimble.export.clicks.rows import Parts, Rows
from thimble.export.training.ranks import ALONE, Ranks, joined
from thimble.export.training.recipe import Recipe
from thimble.export.training.teacher import Teaching, columns_for
from thimble.export.training.train import train
from thimble.models.features import Batch
from thimble.models.hashing import Floats
from thimble.models.provenance import Teacher
from thimble.models.spec import Metrics

# A dense gradient, a sparse one, the same with a learnt step beside it, a sparse one for each table, a teacher, bags.
SPECS = {
    "dense": criteo_spec(),
    "sparse": criteo_spec(memory=65536),
    "int4": criteo_spec(memory=65536, precision="int4"),
    "full": criteo_spec("full"),
    "taught": criteo_spec(),
    "bags": with_bags(criteo_spec(memory=131072)),
    "full with bags": with_bags(criteo_spec("full")),
}
# 31 whole batches and one of a single row, of which the first of two processes has none.
BATCH_SIZE, TRAIN_ROWS, HELD_OUT_ROWS = 32, 31 * 32 + 1, 500


def fit(folder: Path, ranks: Ranks = ALONE) -> dict[str, Metrics]:
    """Train each into a folder of its name."""
    results = {}
    for name, spec in SPECS.items():
        source = GeneratedClicks(spec, TRAIN_ROWS + HELD_OUT_ROWS, 0)
        held_out = Rows(source, TRAIN_ROWS, TRAIN_ROWS + HELD_OUT_ROWS)
        parts = Parts(Rows(source, 0, TRAIN_ROWS), held_out, held_out)
        # of 4 bits weights stay below half a step, or the order of a sum could decide what one is rounded to
        sparse_lr = 1e-4 if name == "int4" else 1e-3
        recipe = Recipe(batch_size=BATCH_SIZE, epochs=2, dense_lr=1e-3, sparse_lr=sparse_lr)
        teaching = TEACHING if name == "taught" else None
        results[name] = train(spec, parts, recipe, folder / name, ranks=ranks, teaching=teaching)
    return results


def by_first_field(batch: Batch) -> Floats:
    """Scores of rows that differ."""
    scores: Floats = (batch.ids[:, 0] % 10 / 10).astype(np.float32)
    return scores


FILE = Path("teacher.onnx")
TEACHING = Teaching(
    FILE,
    Teacher(name="big", digest="0" * 32, weight=0.5),
    by_first_field,
    columns_for(FILE, SPECS["taught"], SPECS["taught"]),
)


if __name__ == "__main__":
    fit(Path(sys.argv[1]), joined())
