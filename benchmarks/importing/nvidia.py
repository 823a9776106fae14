"""NVIDIA/DeepLearningExamples, PyTorch/Recommendation/DLRM at 729963dd: its modules and its checkpoint writer.

    git clone https://github.com/NVIDIA/DeepLearningExamples SOURCES/DeepLearningExamples
    git -C SOURCES/DeepLearningExamples checkout 729963dd
    pip install absl-py

apex, dllogger and the CUDA extension are stubs, and tensors stay where they are. Of several GPUs, each has a bottom
model of its own here, and what they exchange is concatenated.
"""

import importlib
import sys
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import MagicMock

import torch
from torch import Tensor, nn

from benchmarks.importing.checkpoints import CHECKPOINT, DIM, NUMBERS, Scores, Variant, scored_rows, stir, write_rows

TABLE_ROWS = [120, 50, 300, 75, 400]
"""Not in the order of their lengths, which is that of the interaction."""
TOP = [24, 12, 1]


class Asked(NamedTuple):
    """Its flags."""

    gpus: int = 1
    ordered: bool = False
    interaction: str = "dot"
    dim: int = DIM


CONCATENATED = "its own code, the GPUs' exchange by concatenation"
VARIANTS = {
    "one GPU": Variant(Asked()),
    "one GPU, no padding of the interaction": Variant(Asked(dim=9)),
    "one GPU, --interaction_op=cat": Variant(Asked(interaction="cat")),
    "two GPUs": Variant(Asked(gpus=2), (), CONCATENATED),
    "two GPUs, --bottom_features_ordered": Variant(Asked(gpus=2, ordered=True), (), CONCATENATED),
    "six GPUs, the first without tables": Variant(Asked(gpus=6), (), CONCATENATED),
}


def make(variant: str, sources: Path, folder: Path) -> None:
    asked: Asked = VARIANTS[variant].asked
    _stubs()
    sys.path.insert(0, str(sources / "DeepLearningExamples/PyTorch/Recommendation/DLRM"))
    parts, factories, distributed, checkpointing, main = (
        importlib.import_module(f"dlrm.{name}")
        for name in ("nn.parts", "nn.factories", "utils.distributed", "utils.checkpointing.distributed", "scripts.main")
    )
    mapping = distributed.get_device_mapping(TABLE_ROWS, num_gpus=asked.gpus)
    buckets: list[list[int]] = mapping["embedding"]
    bottom = [16, asked.dim]
    common = {"embedding_type": "multi_table", "embedding_dim": asked.dim, "device": "cpu"}
    top = parts.DlrmTop(TOP, factories.create_interaction(asked.interaction, len(TABLE_ROWS), asked.dim))
    ranks: list[Any] = []
    for rank, bucket in enumerate(buckets):
        model: Any = nn.Module()
        tables = [TABLE_ROWS[column] for column in bucket]
        model.bottom_model = parts.DlrmBottom(NUMBERS, tables, None if rank else bottom, **common)
        model.top_model = top
        stir(model.state_dict(), "embedding")
        ranks.append(model)
    main.FLAGS(["main.py", "--dataset=none"])
    config = main.FLAGS.flag_values_dict() | {
        **{"embedding_dim": asked.dim, "bottom_mlp_sizes": bottom, "top_mlp_sizes": TOP},
        **{"interaction_op": asked.interaction, "bottom_features_ordered": asked.ordered},
    }
    for rank, model in enumerate(ranks):
        writer = checkpointing.make_distributed_checkpoint_writer(mapping, rank, rank == 0, config)
        writer._distributed = False  # it would wait for the others
        writer.save_checkpoint(model, str(folder / CHECKPOINT), epoch=0, step=100)
    rows = scored_rows(TABLE_ROWS)
    order = torch.tensor([0, *(column + 1 for bucket in buckets for column in bucket)])

    def scores(numbers: Tensor) -> Any:
        """The first rank's vectors begin with the dense one."""
        ids = [torch.from_numpy(rows.ids[:, bucket]) for bucket in buckets]
        vectors = torch.cat([rank.bottom_model(numbers, its)[0] for its, rank in zip(ids, ranks, strict=True)], dim=1)
        vectors = vectors[:, order.argsort()] if asked.ordered else vectors
        return ranks[0].top_model(vectors, vectors[:, 0])[:, 0].sigmoid().detach().numpy()

    numbers = torch.from_numpy(rows.numbers)
    single = scores(numbers)
    for model in ranks:
        model.double()
    write_rows(folder, rows.columns(), Scores(single, scores(numbers.double())))


def _stubs() -> None:
    extension = "dlrm.cuda_ext"
    names = ("apex", "apex.parallel", "apex.optimizers", "dllogger", extension, f"{extension}.fused_gather_embedding")
    sys.modules |= {name: MagicMock() for name in names}
    mlp = MagicMock()
    mlp.MLP, mlp.MlpFunction = nn.Module, object  # classes are made of them
    sys.modules["apex.mlp"] = mlp
    torch.Tensor.cuda = lambda self, *_, **__: self  # type: ignore[method-assign]
