"""Small models and clicks that several test modules share."""

from collections.abc import Sequence
from itertools import cycle, zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from thimble.models.architectures.dlrm import DlrmArchitecture
from thimble.models.bags import Bag
from thimble.models.features import Batch
from thimble.models.heads import Head
from thimble.models.inputs import Categorical, Kind
from thimble.models.presets import CRITEO_DENSE, CRITEO_KAGGLE_ROWS, criteo_fields
from thimble.models.quantization import MemoryPrecision, stored_bytes
from thimble.models.schemes import SCHEMES as BY_NAME
from thimble.models.schemes import embedding_for
from thimble.models.schemes.base import HashedEmbedding
from thimble.models.spec import ModelSpec, Precision

SCHEMES = list(BY_NAME)
SHARED = [name for name, scheme in BY_NAME.items() if issubclass(scheme, HashedEmbedding)]


def small_spec(
    scheme: str = "block",
    dense: int = 3,
    kinds: Sequence[Kind] = ("string",) * 7,
    dim: int = 20,
    chunk: int = 8,
    memory: int = 1000,
    rows: int = 50,
    seed: int = 0,
    precision: MemoryPrecision = "fp32",
    bags: Sequence[Bag | None] = (),
) -> ModelSpec:
    """A tiny model; by default the chunk size does not divide the dimension. Of no `kinds` it has numbers alone.

    `bags` are those of the first fields.
    """
    of_fields = zip_longest(kinds, bags)
    fields = [Categorical(name=f"f{i}", kind=kind, rows=rows, bag=bag) for i, (kind, bag) in enumerate(of_fields)]
    return ModelSpec(
        name="small",
        dense=[f"d{i}" for i in range(dense)],
        fields=fields,
        embedding_dim=dim,
        embedding=embedding_for(scheme, fields, dim, stored_bytes(memory, precision), chunk, seed, precision),
        architecture=DlrmArchitecture(dense_arch=[8, dim] if dense else [], over_arch=[12, 1]),
        precision=Precision(memory=precision),
    )


def criteo_spec(
    scheme: str = "block",
    rows: int = 1000,
    dim: int = 8,
    memory: int = 4096,
    seed: int = 0,
    precision: MemoryPrecision = "fp32",
) -> ModelSpec:
    """Criteo's features with tables cut down to `rows`."""
    fields = criteo_fields([min(n, rows) for n in CRITEO_KAGGLE_ROWS])
    return ModelSpec(
        name="criteo-small",
        dense=CRITEO_DENSE,
        fields=fields,
        embedding_dim=dim,
        embedding=embedding_for(scheme, fields, dim, stored_bytes(memory, precision), 4, seed, precision),
        architecture=DlrmArchitecture(dense_arch=[16, dim], over_arch=[32, 1]),
        precision=Precision(memory=precision),
    )


BAGS = (
    Bag(values=3, pooling="mean"),
    None,
    Bag(values=4, pooling="sum", keep="last", separator=";"),
    Bag(values=2, pooling="max"),
)
"""Of every pooling one, and a single-valued field among them."""


def with_bags(spec: ModelSpec) -> ModelSpec:
    """The same with bags in most of its fields, those of BAGS in turn."""
    fields = [field.model_copy(update={"bag": bag}) for field, bag in zip(spec.fields, cycle(BAGS), strict=False)]
    return spec.model_copy(update={"fields": fields})


SEVEN_BAGS: tuple[Bag | None, ...] = (
    *(None, Bag(values=3, pooling="sum"), Bag(values=4, pooling="mean"), None, None),
    *(Bag(values=5, pooling="max"), Bag(values=1, pooling="mean")),
)
"""Of seven fields."""

FORMS: dict[str, dict[str, Any]] = {
    "dlrm": {"kind": "dlrm", "dense_arch": [8], "over_arch": [12, 1]},
    "dcnv2": {
        **{"kind": "dcnv2", "dense_arch": [8, 6], "cross_layers": 2, "cross_rank": 5},
        **{"deep": [], "over_arch": [12, 1]},
    },
    "dcnv2 parallel": {
        **{"kind": "dcnv2", "dense_arch": [], "cross_layers": 2, "deep": [7, 5]},
        **{"over_arch": [1], "first_order": True},
    },
    "dcnv2 with vectors of numbers": {
        **{"kind": "dcnv2", "dense_arch": [], "cross_layers": 1, "deep": [7]},
        **{"over_arch": [9, 1], "number_vectors": True, "first_order": True},
    },
    "deepfm": {"kind": "deepfm", "over_arch": [12, 8, 1]},
    "deepfm with vectors of numbers": {"kind": "deepfm", "over_arch": [12, 8, 1], "number_vectors": True},
    "wide-deep": {"kind": "wide-deep", "over_arch": [12, 8, 1]},
    "mlp": {"kind": "mlp", "over_arch": [12, 8, 1]},
    "dlrm with bags": {"kind": "dlrm", "dense_arch": [8], "over_arch": [12, 1]},
    "deepfm with bags": {"kind": "deepfm", "over_arch": [12, 8, 1], "number_vectors": True},
}
"""Small architectures: every kind, in each of its forms, and some over fields with bags."""


def in_form(spec: ModelSpec, form: str) -> ModelSpec:
    """The same features and embeddings in one of FORMS, the fields with bags where it has them.

    What is for numbers is left out where there are none.
    """
    sizes = FORMS[form]
    if form.endswith(" with bags"):
        spec = with_bags(spec)
    if sizes["kind"] == "dlrm":
        sizes = sizes | {"dense_arch": [*sizes["dense_arch"], spec.embedding_dim]}
    if not spec.dense:
        none = {"dense_arch": [], "number_vectors": False}
        sizes = sizes | {name: none[name] for name in none.keys() & sizes.keys()}
    return ModelSpec.model_validate(dict(spec) | {"architecture": sizes})


def random_batch(spec: ModelSpec, rows: int, seed: int = 0) -> Batch:
    """Rows in which some numbers are missing, and some values of bags."""
    random = np.random.default_rng(seed)
    numbers, fields = spec.inputs
    dense = random.normal(2, 5, (rows, numbers.width)).astype(np.float32)
    dense[random.random(dense.shape) < 0.2] = np.nan
    ids = random.integers(0, 1 << 60, (rows, fields.width))
    in_bag = np.array([feature.bag is not None for feature in fields.columns], bool)
    ids[(random.random(ids.shape) < 0.3) & in_bag] = 0
    return Batch(dense, ids)


def write_csv(path: Path, rows: int, seed: int = 0) -> Path:
    """A CSV with a clicked column, two columns of numbers and two of strings, which say something about the clicks."""
    random = np.random.default_rng(seed)
    lines = ["clicked,age,price,city,shop"]
    for _ in range(rows):
        age, city, shop = int(random.integers(18, 80)), int(random.integers(0, 30)), int(random.integers(0, 12))
        odds = -1.5 + (1.5 if city % 3 == 0 else 0) + (1.5 if (city + shop) % 2 else -1)
        clicked = int(random.random() < 1 / (1 + np.exp(-odds)))
        price = "" if random.random() < 0.1 else f"{random.lognormal(2, 1):.2f}"
        lines.append(f'{clicked},{age},{price},"city {city}",{"" if shop == 0 else f"shop-{shop}"}')
    path.write_text("\n".join(lines) + "\n")
    return path


HEADS = (Head(name="click"), Head(name="conversion", given="click"))
"""Two answers, the second given the first."""


def write_conversions(path: Path, rows: int, seed: int = 0) -> Path:
    """The rows of `write_csv` with a conversion too, which some of the clicks end in, and more in some cities."""
    random = np.random.default_rng([seed, 1])
    header, *lines = write_csv(path, rows, seed).read_text().splitlines()
    written = [header.replace("clicked", "click,conversion")]
    for line in lines:
        clicked, rest = line.split(",", 1)
        often = 0.7 if rest.split('"')[1].endswith(("1", "4", "7")) else 0.15
        written.append(f"{clicked},{int(clicked == '1' and random.random() < often)},{rest}")
    path.write_text("\n".join(written) + "\n")
    return path
