"""Further labels of generated rows, for models of several answers: a conversion beside the click, given it or not."""

import numpy as np

from thimble.export.clicks.hidden_truth import Interactions
from thimble.export.clicks.zipf import Doubles
from thimble.models.features import Batch
from thimble.models.hashing import Floats
from thimble.models.heads import parents_of
from thimble.models.spec import ModelSpec

BIAS = -2.0
"""Of a further label's logit: about a tenth of the clicked rows have it, where it is given the click."""
OF_FIRST, OF_FIELD = 0.4, 0.5
"""How much of a further label's logit is the first one's, and what the ids of a field add, of Criteo's less."""


class FurtherLabels:
    """Draws the labels of all heads but the first.

    Each has a hidden truth of its own, a factorisation machine over the ids as the click's is, and a part of that: who
    clicks more also buys more.
    """

    def __init__(self, spec: ModelSpec, seed: int) -> None:
        self.heads = spec.heads
        self.fields = [*zip(spec.bags, spec.inputs[1].places, strict=True)]
        random = np.random.default_rng([seed, 4])
        self.salts = random.integers(1, 2**63, (len(self.heads), len(self.fields)), dtype=np.uint64)

    @property
    def identity(self) -> str:
        return ", ".join(map(str, self.heads))

    def drawn(self, random: np.random.Generator, batch: Batch, first: Floats, truth: Doubles) -> tuple[Floats, Doubles]:
        """Labels and log-odds of the rows' probabilities, both [rows, heads], of the first head's, both [rows]."""
        rows = len(first)
        labels, own = np.zeros((rows, len(self.heads)), np.float32), np.zeros((rows, len(self.heads)))
        labels[:, 0], own[:, 0] = first, 1 / (1 + np.exp(-truth))
        for head, parent in list(enumerate(parents_of(self.heads)))[1:]:
            effects = Interactions(OF_FIRST * truth)
            weight = OF_FIELD / np.sqrt(max(1, len(self.fields) / 6))
            for (bag, place), salt in zip(self.fields, self.salts[head], strict=True):
                ids = batch.ids[:, place]
                if bag:
                    effects.add_bags(ids, salt, np.full(ids.shape, weight), bag.pooling)
                else:
                    effects.add(ids, salt, np.full(rows, weight))
            probability = 1 / (1 + np.exp(-effects.logits() - BIAS))
            comes = random.random(rows) < probability
            labels[:, head] = comes if parent is None else comes * labels[:, parent]
            own[:, head] = probability if parent is None else probability * own[:, parent]
        own = np.clip(own, 1e-12, 1 - 1e-12)
        return labels, np.log(own) - np.log1p(-own)
