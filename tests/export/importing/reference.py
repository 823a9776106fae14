"""A DLRM as other projects compute it and save it, apart from all code that imports it, and what becomes of it.

The layouts are those of their code: facebookresearch/dlrm's dlrm_s_pytorch.py, torchrec's models/dlrm.py, the authors'
ROBE classes (universal_memory_allocation) and NVIDIA DeepLearningExamples' DLRM.
"""

import csv
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thimble.export.artifact.agreement import numpy_scores
from thimble.export.importing.importer import Said, read_model
from thimble.export.importing.mapping import Format
from thimble.models.features import Batch
from thimble.models.hashing import Floats

TABLE_ROWS = (40, 7, 120, 3)
FIELDS = [f"C{field + 1}" for field in range(len(TABLE_ROWS))]
SIZED = [f"{{name: {name}, table_rows: {rows}}}" for name, rows in zip(FIELDS, TABLE_ROWS, strict=True)]
NUMBERS, DIM = 3, 6
PRIME = 2038074743
RANDOM_NUMBERS = (PRIME, 634329019, 1825252241, 871205356)
Layers = list[tuple[Tensor, Tensor]]


@dataclass
class Dlrm:
    """Its weights, in the order of Facebook's code: the lower triangle of products, row by row."""

    tables: list[Tensor]
    bottom: Layers
    top: Layers

    def scores(self, numbers: Tensor, embeddings: Tensor) -> Tensor:
        x = numbers.double()
        for weight, bias in self.bottom:
            x = torch.relu(x @ weight.double().T + bias.double())
        vectors = torch.cat([x.unsqueeze(1), embeddings.double()], 1)
        products = vectors @ vectors.transpose(1, 2)
        pairs = [products[:, i, j] for i in range(vectors.shape[1]) for j in range(i)]
        x = torch.cat([x, torch.stack(pairs, 1)], 1)
        for place, (weight, bias) in enumerate(self.top):
            x = (x if place == 0 else torch.relu(x)) @ weight.double().T + bias.double()
        return torch.sigmoid(x[:, 0])

    def embeddings(self, ids: Tensor) -> Tensor:
        return torch.stack([table[ids[:, field]] for field, table in enumerate(self.tables)], 1)


def made_dlrm(numbers: int = NUMBERS, dim: int = DIM, rows: tuple[int, ...] = TABLE_ROWS) -> Dlrm:
    random = torch.Generator().manual_seed(1)

    def layers(*widths: int) -> Layers:
        return [
            (torch.randn(o, i, generator=random) / i**0.5, torch.randn(o, generator=random) / 3)
            for i, o in pairwise(widths)
        ]

    tables = [torch.randn(n, dim, generator=random) for n in rows]
    pairs = len(rows) * (len(rows) + 1) // 2
    return Dlrm(tables, layers(numbers, 8, dim), layers(dim + pairs, 9, 5, 1))


def made_rows(dlrm: Dlrm, count: int = 1000) -> tuple[Tensor, Tensor]:
    """Numbers and row numbers."""
    random = torch.Generator().manual_seed(2)
    numbers = torch.randn(count, dlrm.bottom[0][0].shape[1], generator=random)
    ids = [torch.randint(len(table), (count,), generator=random) for table in dlrm.tables]
    return numbers, torch.stack(ids, 1)


def save(state: object, path: str = "model.pt") -> None:
    torch.save(state, path)


def linear(prefix: str, layer: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.weight": layer[0], f"{prefix}.bias": layer[1]}


def facebook(dlrm: Dlrm) -> dict[str, Tensor]:
    """The state dict: linear layers at even places, a ReLU or the sigmoid after each."""
    state = {f"emb_l.{field}.weight": table for field, table in enumerate(dlrm.tables)}
    for place, layer in enumerate(dlrm.bottom):
        state |= linear(f"bot_l.{2 * place}", layer)
    for place, layer in enumerate(dlrm.top):
        state |= linear(f"top_l.{2 * place}", layer)
    return state


def upper(dlrm: Dlrm) -> Tensor:
    """The first layer on top for products in the upper triangle's order, row by row."""
    nodes = len(dlrm.tables) + 1
    lower = {(i, j): place for place, (i, j) in enumerate((i, j) for i in range(nodes) for j in range(i))}
    dim = dlrm.tables[0].shape[1]
    order = [*range(dim), *(dim + lower[j, i] for i in range(nodes) for j in range(i + 1, nodes))]
    return dlrm.top[0][0][:, order]


def torchrec(dlrm: Dlrm) -> dict[str, Tensor]:
    bags = "sparse_arch.embedding_bag_collection.embedding_bags"
    state = {f"{bags}.t_cat_{field}.weight": table for field, table in enumerate(dlrm.tables)}
    for place, layer in enumerate(dlrm.bottom):
        state |= linear(f"dense_arch.model._mlp.{place}._linear", layer)
    *hidden, last = [(upper(dlrm), dlrm.top[0][1]), *dlrm.top[1:]]
    for place, layer in enumerate(hidden):
        state |= linear(f"over_arch.model.0._mlp.{place}._linear", layer)
    return state | linear("over_arch.model.1", last)


def robe(dlrm: Dlrm, memory: Tensor, drawn: int, cpu: bool = False, chunk: int = 1) -> dict[str, Tensor]:
    """`drawn` numbers beside the prime: 50 by the class for GPUs, 10 by those for CPUs, one of which has helpers."""
    state = {key: value for key, value in facebook(dlrm).items() if not key.startswith("emb_l")}
    state["hashed_weight"] = memory
    others = np.random.default_rng(0).integers(0, PRIME, drawn - 3)
    numbers = torch.tensor([*RANDOM_NUMBERS, *others.tolist()])
    for field in range(len(dlrm.tables)):
        state[f"emb_l.{field}.weight"] = memory
        state[f"emb_l.{field}.random_numbers"] = numbers
        if drawn == 50:
            state |= {f"emb_l.{field}.hashed_weight": memory, f"emb_l.{field}.signature": torch.zeros(2).long()}
        if cpu:
            places = torch.arange(dlrm.tables[0].shape[1])
            state[f"emb_l.{field}.helper_Eidx_base"] = places // chunk
            state[f"emb_l.{field}.helper_Eidx_offset"] = places % chunk
            state[f"emb_l.{field}.helper_E1sR"] = torch.full_like(places, RANDOM_NUMBERS[3])
    return state


def robe_tables(memory: Tensor, chunk: int, second: bool, dim: int = DIM) -> list[Tensor]:
    """The tables that a ROBE array stands for, by the formulas of its authors' code."""
    prime, r1, r2, r3 = RANDOM_NUMBERS
    tables, offset = [], 0
    for rows in TABLE_ROWS:
        x, j = np.arange(offset, offset + rows)[:, None], np.arange(dim)[None]
        if second:
            start = (x * r1 + (j // chunk + 1) * r2 + r3) % prime % (len(memory) - chunk)
        else:
            start = (x * r3 + (j // chunk) * r2 + r1) % prime % (len(memory) - chunk + 1)
        tables.append(memory[torch.from_numpy(start + j % chunk)])
        offset += rows
    return tables


def nvidia(dlrm: Dlrm, folder: Path, buckets: list[list[int]], ordered: bool = False) -> list[int]:
    """Fill a folder. Returns the order in which its interaction takes the tables."""
    folder.mkdir()
    order = [column for bucket in buckets for column in bucket]
    order = sorted(order) if ordered and len(buckets) > 1 else order
    for place, column in enumerate(order):
        table = dlrm.tables[place].numpy()
        (folder / f"bottom_model.embeddings.{column}.bin").write_bytes(table.tobytes())
        torch.save({"shape": torch.Size(table.shape)}, folder / f"embeddings.{column}.meta.pt")

    def mlp(layers: Layers) -> dict[str, Any]:
        return {"weights": [torch.nn.Parameter(w) for w, _ in layers], "biases": [b for _, b in layers]}

    first, bias = dlrm.top[0]
    padded = torch.nn.functional.pad(first, (0, -first.shape[1] % 8), value=7.0)  # times 0
    torch.save(mlp(dlrm.bottom), folder / "bottom_model.mlp.pt")
    torch.save(mlp([(padded, bias), *dlrm.top[1:-1]]), folder / "top_model.mlp.pt")
    torch.save({"weight": dlrm.top[-1][0], "bias": dlrm.top[-1][1]}, folder / "top_model.out.pt")
    mapping = {"bottom_mlp": 0, "embedding": buckets, "vectors_per_gpu": [1 + len(b) for b in buckets]}
    config = {"interaction_op": "dot", "bottom_features_ordered": ordered, "embedding_dim": DIM}
    torch.save({"data": {"device_mapping": mapping, "epoch": 0, "step": 1}, "config": config}, folder / "metadata.pt")
    return order


def write_features(path: Path, fields: list[str], extra: str = "numbers: none\nids: rows\n") -> Path:
    path.write_text(f"dense: [I1, I2, I3]\nfields:\n{''.join(f'  - {field}{chr(10)}' for field in fields)}{extra}")
    return path


def write_expected(path: Path, numbers: Tensor, ids: Tensor, scores: Tensor, names: list[str] | None = None) -> Path:
    names = names or [f"C{field + 1}" for field in range(ids.shape[1])]
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow([*(f"I{n + 1}" for n in range(numbers.shape[1])), *names, "score"])
        for row in zip(numbers.tolist(), ids.tolist(), scores.tolist(), strict=True):
            lines.writerow([*row[0], *row[1], row[2]])
    return path


def imported_scores(checkpoint: Path, format: Format, said: Said, numbers: Tensor, ids: Tensor) -> Floats:
    """Scores of a checkpoint as it is read, before anything is exported. Fields have full tables or a ROBE array."""
    model = read_model(checkpoint, format, said, "model")
    tables = model.tables.tables if model.tables else ()
    weights = {f"sparse_arch.tables.{field}.weight": table.read() for field, table in enumerate(tables)}
    return numpy_scores(model.spec, model.layers | weights, Batch(numbers.numpy(), ids.numpy()))


def row(values: str, scores: str = "0.5", header: str = "I1,I2,I3,C1,C2,C3,C4,score") -> str:
    return f"{header}\n{values},{scores}\n"
