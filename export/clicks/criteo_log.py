"""Rows as Criteo's logs have them: marginals as measured on real lines, every row independent of all others."""

import numpy as np

from thimble.export.clicks.click_log import ClickLog, Drawn
from thimble.export.clicks.hidden_truth import Interactions, coprime
from thimble.export.clicks.marginals import FIELDS, NUMBERS, Popularity, draw_numbers, field_shapes
from thimble.export.clicks.rows import ClickError
from thimble.export.clicks.zipf import Doubles
from thimble.models.bags import widths
from thimble.models.features import Batch
from thimble.models.spec import ModelSpec


class CriteoLog(ClickLog):
    """For any spec with Criteo's 13 numbers and 26 fields.

    Bags are full, as those of MLPerf's multi-hot clicks are: each of their ids is drawn as a single-valued field's is,
    and none is missing.
    """

    label_rate = 0.218
    order = "as they are generated, each independent of all others"

    def __init__(self, spec: ModelSpec, seed: int) -> None:
        """ClickError: a table is too short."""
        self.bags = spec.bags
        self.places = spec.inputs[1].places
        self.table_rows = [field.rows for field in spec.fields]
        if min(self.table_rows) < 3:
            raise ClickError("clicks can be generated for tables of at least 3 rows only")
        self.shapes = field_shapes(self.table_rows)
        # id 0 means missing, so a table of n rows has n - 1 ids
        self.popularity = [Popularity(shape, n - 1) for shape, n in zip(self.shapes, self.table_rows, strict=True)]
        truth = np.random.default_rng([seed, 1])
        self.number_weights = truth.normal(0, 0.25, len(NUMBERS))
        self.field_weights = truth.lognormal(-1.6, 0.6, len(FIELDS))
        self.salts = truth.integers(1, 2**63, len(FIELDS), dtype=np.uint64)
        self.multipliers = [coprime(int(truth.integers(1, 2**31)), n - 1) for n in self.table_rows]

    def draw(self, random: np.random.Generator, first: int, rows: int) -> Drawn:
        dense = np.stack([draw_numbers(shape, rows, random) for shape in NUMBERS], axis=1)
        ids = np.zeros((rows, sum(widths(self.bags))), dtype=np.int64)
        logged = np.log(np.maximum(np.nan_to_num(dense), 0) + 1)
        truth = Interactions((np.tanh(logged / 4 - 0.5) @ self.number_weights) * 1.5)
        for f, shape in enumerate(self.shapes):
            bag, n = self.bags[f], self.table_rows[f] - 1
            ranks = self.popularity[f].draw(random.random(rows * bag.values if bag else rows))
            drawn = 1 + ranks * self.multipliers[f] % n
            # a rare id says little of itself, as in life: most of the truth is with ids that can be learnt
            weights = self.field_weights[f] / np.sqrt(1 + ranks / 1000)
            if bag:
                drawn, weights = drawn.reshape(rows, -1), weights.reshape(rows, -1)
                truth.add_bags(drawn, self.salts[f], weights, bag.pooling)
            else:
                drawn = np.where(random.random(rows) >= shape.missing, drawn, 0)
                truth.add(drawn, self.salts[f], weights)
            ids[:, self.places[f]] = drawn
        return Drawn(truth.logits(), Batch(dense.astype(np.float32), ids))

    def rates(self) -> list[tuple[Doubles, Doubles]]:
        fields = []
        for bag, shape, popularity in zip(self.bags, self.shapes, self.popularity, strict=True):
            shares, ids = popularity.shares()
            if bag:
                fields.append((shares * bag.values, ids.astype(np.float64)))
                continue
            fields.append((np.append(shares * (1 - shape.missing), shape.missing), np.append(ids, 1.0)))
        return fields
