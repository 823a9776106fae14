"""The demo's engine without a server: for each line "ROWS SECONDS" that it reads, rows a second in such batches.

python -m benchmarks.serving.inprocess
"""

import sys
import time

from testing.messages import MODEL, random_rows
from thimble.models.features import Batch
from thimble.ops.library import find_native_ops
from thimble.service.engine.artifact import read_artifact
from thimble.service.engine.engine import Engine

MOST_ROWS = 256


def main() -> None:
    engine = Engine(read_artifact(MODEL, 1 << 28), "cpu", 1, find_native_ops(), MOST_ROWS)
    engine.warm_up()
    rows = random_rows(16 * MOST_ROWS)
    for line in sys.stdin:
        size, seconds = int(line.split()[0]), float(line.split()[1])
        parts = [Batch(rows.dense[at : at + size], rows.ids[at : at + size]) for at in range(0, 16 * size, size)]
        runs, start = 0, time.perf_counter()
        while (passed := time.perf_counter() - start) < seconds:
            engine.run(engine.fill([parts[runs % 16]]))
            runs += 1
        print(runs * size / passed, flush=True)


if __name__ == "__main__":
    main()
