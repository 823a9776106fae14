"""How many runs this machine has memory for."""

from pathlib import Path

from thimble.export.tradeoff.grid import Run
from thimble.models.base import FLOAT_BYTES
from thimble.models.quantization import BITS
from thimble.models.spec import ModelSpec

# torch, the rows at hand and all that is not embeddings. Measured: 350 MB; large MLPs and batches take more.
PROCESS_BYTES = 600_000_000
# The weights and two moments of each that Adam keeps. Gradients of few weights are small, and of all as large.
COPIES = 3


def run_bytes(base: ModelSpec, run: Run, training_rows: int) -> int:
    """About what a run takes, of full tables the most that it can take.

    These have rows for ids that come at least twice, of which there are no more than half as many as rows.
    """
    # whatever they are stored as, they are trained in float32
    embeddings = base.full_table_bytes / run.setting.compression * BITS["fp32"] / BITS[run.setting.precision]
    if run.setting.is_full:
        rows = sum(min(field.rows, training_rows // 2 + 2) for field in base.fields)
        embeddings = rows * base.embedding_dim * FLOAT_BYTES
    return PROCESS_BYTES + COPIES * int(embeddings)


def available_bytes(root: Path = Path("/")) -> int | None:
    """What Linux could give to new processes, or what is left of a container's limit; None where nothing says so."""
    left = []
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
        left += [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    except OSError:
        return None
    try:
        group = root / "sys/fs/cgroup"
        left.append(int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    except (OSError, ValueError):  # no limit, which is written as "max", or another version of control groups
        pass
    return min(left, default=None)
