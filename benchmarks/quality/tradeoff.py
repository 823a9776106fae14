"""How quality falls as the memory shrinks, and what it takes to train: the command's own runs, written down.

    python -m benchmarks.quality.tradeoff NAME [options of thimble-export tradeoff]

    python -m benchmarks.quality.tradeoff kaggle --generate 1000000 --preset criteo-kaggle --scheme block,robe-v1 \
        --memory-precision fp32,int4 --compression 10,100,1000,10000 --minutes 600 --run runs/kaggle-tradeoff

The table and all outcomes go beside this script, as tradeoff-NAME. The same command goes on where it was stopped.
"""

import argparse
import subprocess
from pathlib import Path

from benchmarks.record import measured_on, record
from thimble.export.tradeoff.advice import advice
from thimble.export.tradeoff.findings import findings
from thimble.export.tradeoff.outcomes import Folder
from thimble.export.tradeoff.table import table

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("name")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--within", type=float, default=0.001)
    chosen, options = parser.parse_known_args()
    command = ["thimble-export", "tradeoff", *options, "--run", str(chosen.run), "--within", str(chosen.within)]
    subprocess.run(command, check=True)

    folder = Folder(chosen.run)
    outcomes, times = folder.outcomes(), folder.step_times()
    found = findings(outcomes, times, chosen.within, folder.kept().config.validation_rows)
    shown = table(found, outcomes[0].metrics if outcomes else None, chosen.within)
    rows = [[" ".join(cell.split()) for cell in row] for row in (shown.head, *shown.rows)]
    rows.insert(1, ["---", *["---:"] * (len(shown.head) - 1)])
    lines = [f"`{' '.join(command)}`", "", shown.note, "", *(f"| {' | '.join(row)} |" for row in rows)]
    results = {
        **measured_on(),
        "command": command,
        "outcomes": [outcome.model_dump() for outcome in outcomes],
        "step_times": [time.model_dump() for time in times],
    }
    text = "\n".join([*lines, "", advice(found, chosen.within).line])
    print(text)
    record(RESULTS, f"tradeoff-{chosen.name}", results, text)


if __name__ == "__main__":
    main()
