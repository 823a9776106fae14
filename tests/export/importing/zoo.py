"""Models of FuxiCTR's model_zoo, of DeepCTR-Torch, and torchrec's DLRM_DCN, as they compute and save them.

Written from their code, apart from all that imports them: three numbers and four fields, in FuxiCTR mixed.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from tests.export.importing.reference import DIM, TABLE_ROWS

NUMBERS = ("I1", "I2", "I3")
FIELDS = ("C1", "C2", "C3", "C4")
MIXED = ("I1", "C1", "C2", "I2", "C3", "I3", "C4")
QUIET = 1 / 4


class Zoo(NamedTuple):
    state: dict[str, Tensor]
    score: Callable[[Tensor, Tensor], Tensor]
    """Numbers and row numbers to scores, in float64."""


class Maker:
    """Draws weights, keeps them under their keys, and uses them in float64."""

    def __init__(self, seed: int = 3) -> None:
        self.random = torch.Generator().manual_seed(seed)
        self.state: dict[str, Tensor] = {}

    def new(self, key: str, *shape: int, scale: float = 1.0) -> Tensor:
        self.state[key] = torch.randn(*shape, generator=self.random) * scale
        return self.state[key].double()

    def layer(self, key: str, inputs: int, outputs: int, bias: bool = True) -> Callable[[Tensor], Tensor]:
        weight = self.new(f"{key}.weight", outputs, inputs, scale=inputs**-0.5)
        added = self.new(f"{key}.bias", outputs, scale=QUIET) if bias else torch.zeros(outputs).double()
        return lambda x: x @ weight.T + added

    def norm(self, key: str, width: int) -> Callable[[Tensor], Tensor]:
        scale, shift = self.new(f"{key}.weight", width) + 2, self.new(f"{key}.bias", width)
        self.state[f"{key}.weight"] = scale.float()
        mean, spread = self.new(f"{key}.running_mean", width), self.new(f"{key}.running_var", width).square() + 0.1
        self.state[f"{key}.running_var"] = spread.float()
        self.state[f"{key}.num_batches_tracked"] = torch.tensor(7)
        spread = self.state[f"{key}.running_var"].double()
        return lambda x: (x - mean) / torch.sqrt(spread + 1e-5) * self.state[f"{key}.weight"].double() + shift

    def table(self, key: str, rows: int, dim: int) -> Callable[[Tensor], Tensor]:
        weight = self.new(f"{key}.weight", rows, dim, scale=0.5)
        return lambda ids: weight[ids]


def fuxictr(kind: str) -> Zoo:
    make = Maker()
    path = "embedding_layer.embedding_layer.embedding_layers"
    names = MIXED if kind != "dlrm" else FIELDS
    rows = dict(zip(FIELDS, TABLE_ROWS, strict=True))

    def embedded(prefix: str, dim: int) -> Callable[[Tensor, Tensor], list[Tensor]]:
        own = {
            name: make.table(f"{prefix}{path}.{name}", rows[name], dim)
            if name in rows
            else make.layer(f"{prefix}{path}.{name}", 1, dim, bias=False)
            for name in names
        }
        return lambda numbers, ids: [
            own[name](ids[:, FIELDS.index(name)] if name in rows else numbers[:, [NUMBERS.index(name)]].double())
            for name in names
        ]

    def mlp(key: str, *widths: int, step: int = 2, norms: bool = False, end: bool = True) -> Callable[[Tensor], Tensor]:
        """Linear, [BatchNorm], ReLU, [Dropout]; the last one without, where it makes the logit."""
        parts: list[Callable[[Tensor], Tensor]] = []
        for place, (taken, given) in enumerate(pairwise(widths)):
            parts.append(make.layer(f"{key}.{place * step}", taken, given))
            if place < len(widths) - 2 or not end:
                if norms:
                    parts.append(make.norm(f"{key}.{place * step + 1}", given))
                parts.append(torch.relu)

        def run(x: Tensor) -> Tensor:
            for part in parts:
                x = part(x)
            return x

        return run

    vectors = embedded("", DIM)
    wide = DIM * len(names)
    if kind == "mlp":
        deep = mlp("mlp.mlp", wide, 9, 5, 1, step=4, norms=True)
        return Zoo(make.state, lambda n, i: torch.sigmoid(deep(torch.cat(vectors(n, i), 1)))[:, 0])
    if kind in ("wide-deep", "deepfm"):
        first = embedded("lr_layer." if kind == "wide-deep" else "fm.lr_layer.", 1)
        bias = make.new("fm.lr_layer.bias", 1) if kind == "deepfm" else torch.zeros(1)
        deep = mlp("dnn.mlp" if kind == "wide-deep" else "mlp.mlp", wide, 9, 5, 1)

        def summed(n: Tensor, i: Tensor) -> Tensor:
            each = vectors(n, i)
            stack = torch.stack(each, 1)
            pairs = 0.5 * (stack.sum(1) ** 2 - (stack**2).sum(1)).sum(1, keepdim=True) * (kind == "deepfm")
            return torch.sigmoid(deep(torch.cat(each, 1)) + sum(first(n, i)) + bias + pairs)[:, 0]

        return Zoo(make.state, summed)
    if kind == "dlrm":
        make.state["interact.triu_mask"] = torch.ones(4, 4).triu(1).bool()
        top = mlp("top_mlp.mlp", 6, 9, 1)
        upper = torch.triu_indices(4, 4, 1)

        def products(n: Tensor, i: Tensor) -> Tensor:
            stack = torch.stack(vectors(n, i), 1)
            return torch.sigmoid(top((stack @ stack.transpose(1, 2))[:, upper[0], upper[1]]))[:, 0]

        return Zoo(make.state, products)
    cross = [make.layer(f"crossnet.cross_layers.{layer}", wide, wide) for layer in range(2)]
    stacked = mlp("stacked_dnn.mlp", wide, 9, end=False) if "stacked" in kind else lambda x: x
    parallel = mlp("parallel_dnn.mlp", wide, 8, 7, end=False) if "parallel" in kind else None
    last = make.layer("fc", (9 if "stacked" in kind else wide) + (7 if parallel else 0), 1)

    def crossed(n: Tensor, i: Tensor) -> Tensor:
        x0 = x = torch.cat(vectors(n, i), 1)
        for layer in cross:
            x = x + x0 * layer(x)
        x = stacked(x)
        return torch.sigmoid(last(torch.cat([x, parallel(x0)], 1) if parallel else x))[:, 0]

    return Zoo(make.state, crossed)


def deepctr(kind: str, norms: bool = False) -> Zoo:
    make = Maker()
    tables = [make.table(f"embedding_dict.{name}", n, DIM) for name, n in zip(FIELDS, TABLE_ROWS, strict=True)]
    wide = DIM * len(FIELDS) + len(NUMBERS)
    linear_numbers, linear_tables = None, []
    if kind != "mlp":
        linear_numbers = make.new("linear_model.weight", len(NUMBERS), 1)
        linear_tables = [
            make.table(f"linear_model.embedding_dict.{name}", n, 1) for name, n in zip(FIELDS, TABLE_ROWS, strict=True)
        ]
    bias = make.new("out.bias", 1)
    layers = [make.layer("dnn.linears.0", wide, 9), make.layer("dnn.linears.1", 9, 5)]
    normalised = [make.norm(f"dnn.bn.{place}", width) for place, width in enumerate((9, 5))] if norms else []
    last = make.layer("dnn_linear", 5 + (wide if kind == "dcnv2" else 0), 1, bias=False)
    if kind == "dcnv2":
        kernels = make.new("crossnet.kernels", 3, wide, wide, scale=wide**-0.5)
        biases = make.new("crossnet.bias", 3, wide, 1, scale=QUIET)

    def score(numbers: Tensor, ids: Tensor) -> Tensor:
        vectors = [table(ids[:, field]) for field, table in enumerate(tables)]
        x = x0 = deep = torch.cat([*vectors, numbers.double()], 1)
        for place, layer in enumerate(layers):
            deep = layer(deep)
            deep = torch.relu(normalised[place](deep) if norms else deep)
        logit = bias
        if linear_numbers is not None:
            logit = logit + numbers.double() @ linear_numbers
            logit = logit + sum(table(ids[:, field]) for field, table in enumerate(linear_tables))
        if kind == "deepfm":
            stack = torch.stack(vectors, 1)
            logit = logit + 0.5 * (stack.sum(1) ** 2 - (stack**2).sum(1)).sum(1, keepdim=True)
        if kind == "dcnv2":
            for kernel, added in zip(kernels, biases, strict=True):
                x = x0 * (x @ kernel.T + added.T) + x
            deep = torch.cat([x, deep], 1)
        return torch.sigmoid(logit + last(deep))[:, 0]

    return Zoo(make.state, score)


def torchrec_dcn() -> Zoo:
    make = Maker()
    bags = "sparse_arch.embedding_bag_collection.embedding_bags"
    tables = [make.table(f"{bags}.t_cat_{field}", n, DIM) for field, n in enumerate(TABLE_ROWS)]
    dense = [make.layer(f"dense_arch.model._mlp.{i}._linear", *w) for i, w in enumerate([(3, 8), (8, DIM)])]
    wide = DIM * (1 + len(FIELDS))
    cross = "inter_arch.crossnet"
    up = [make.new(f"{cross}.W_kernels.{layer}", wide, 4, scale=0.5) for layer in range(2)]
    down = [make.new(f"{cross}.V_kernels.{layer}", 4, wide, scale=wide**-0.5) for layer in range(2)]
    biases = [make.new(f"{cross}.bias.{layer}", wide, scale=QUIET) for layer in range(2)]
    hidden, last = make.layer("over_arch.model.0._mlp.0._linear", wide, 9), make.layer("over_arch.model.1", 9, 1)

    def score(numbers: Tensor, ids: Tensor) -> Tensor:
        vector = numbers.double()
        for layer in dense:
            vector = torch.relu(layer(vector))
        x0 = x = torch.cat([vector, *(table(ids[:, field]) for field, table in enumerate(tables))], 1)
        for narrow, wider, added in zip(down, up, biases, strict=True):
            x = x0 * (x @ narrow.T @ wider.T + added) + x
        return torch.sigmoid(last(torch.relu(hidden(x))))[:, 0]

    return Zoo(make.state, score)
