"""Rows with the scores that a model gave them where it was trained: what proves an import."""

import csv
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from thimble.export.artifact.agreement import onnx_scores, onnx_session
from thimble.export.clicks.golden import GOLDEN_ROWS, wire_value
from thimble.export.importing.weights import CheckpointError
from thimble.models.features import Batch, FeatureError, batch_from_text
from thimble.models.hashing import ID_LIMIT, Floats
from thimble.models.spec import GoldenFeatures, ModelSpec

SCORE = "score"
SCORED_ROWS = 4096
"""At a time: what a model makes of many rows takes much memory."""
TOLERANCE = 1e-5
"""How far a score may lie from the expected one: what float32 and six decimals leave open."""


class ExpectedScores(NamedTuple):
    """Rows of a file, the first of them as a request carries them, and their scores."""

    path: Path
    batch: Batch
    golden: GoldenFeatures
    scores: Floats

    def difference(self, artifact: Path) -> float:
        """The largest one between scores of a file and these. CheckpointError: it is larger than TOLERANCE."""
        session = onnx_session(str(artifact))
        scores = np.concatenate([onnx_scores(session, part) for part in self._parts()])
        differences = np.abs(scores - self.scores)
        row = int(differences.argmax())
        if not differences[row] <= TOLERANCE:
            wrong = int((differences > TOLERANCE).sum())
            raise CheckpointError(
                f"{self.path}: row {row + 1} has the score {self.scores[row]:.6f} and the imported model gives it "
                f"{scores[row]:.6f}; {wrong:,} of {len(scores):,} differ by more than {TOLERANCE:g}, so something said "
                "of the features is not as it was in training, or the model is another one (with activations other "
                "than ReLU, say); nothing was written"
            )
        return float(differences[row])

    def _parts(self) -> Iterator[Batch]:
        for start in range(0, len(self.scores), SCORED_ROWS):
            yield self.batch.part(start, start + SCORED_ROWS)


def read_expected(path: Path, spec: ModelSpec) -> ExpectedScores:
    """A CSV file of a model's features and `score`, a probability.

    CheckpointError: it is none, or a value is none of its feature's. OSError: it cannot be read.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = [line for line in csv.reader(file) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise CheckpointError(f"{path} is no CSV: {error}") from None
    header, rows = (lines[0], lines[1:]) if lines else ([], [])
    if lacking := [name for name in (*spec.feature_names, SCORE) if name not in header]:
        raise CheckpointError(f"{path} has no column {lacking[0]}; it takes the model's features and {SCORE}")
    if SCORE in spec.feature_names:
        raise CheckpointError(f"{path}: the model has a feature {SCORE}, so no column of that name can be its scores")
    if twice := next((name for name in header if header.count(name) > 1), None):
        raise CheckpointError(f"{path} has two columns {twice}")
    if not rows:
        raise CheckpointError(f"{path} has no rows below its header")
    if odd := next((number for number, row in enumerate(rows, 1) if len(row) != len(header)), None):
        raise CheckpointError(f"{path}: row {odd} has {len(rows[odd - 1])} values for {len(header)} columns")
    columns = dict(zip(header, zip(*rows, strict=True), strict=True))
    scores = _scores(path, columns[SCORE])
    features = [columns[name] for name in spec.feature_names]
    try:
        batch = batch_from_text(spec, features)
    except FeatureError as error:
        raise CheckpointError(f"{path}: row {error.row + 1}: {error}") from None
    golden: GoldenFeatures = {
        feature.name: [wire_value(feature, value) for value in column[:GOLDEN_ROWS]]
        for feature, column in zip(spec.features, features, strict=True)
    }
    return ExpectedScores(path, batch, golden, scores)


def made_rows(spec: ModelSpec) -> GoldenFeatures:
    """Rows of random values for a model of which nothing else is known, in the last of which all are missing."""
    random = np.random.default_rng(0)
    drawn = random.poisson(20, (GOLDEN_ROWS - 1, len(spec.dense))).astype(np.float32)
    features: GoldenFeatures = dict(zip(spec.dense, spec.dense_transform.suited(drawn).T.tolist(), strict=True))
    for field in spec.fields:
        ids = random.integers(0, min(field.rows, ID_LIMIT), GOLDEN_ROWS - 1).tolist()
        features[field.name] = [{"int": x, "hex": f"{x:08x}", "string": str(x)}[field.kind] for x in ids]
    return {name: [*column, None] for name, column in features.items()}


def _scores(path: Path, column: tuple[str, ...]) -> Floats:
    scores = np.full(len(column), np.nan)
    for row, text in enumerate(column):
        with suppress(ValueError):
            scores[row] = float(text)
        if not 0 <= scores[row] <= 1:
            raise CheckpointError(f"{path}: row {row + 1}: the score {text[:40]!r} is no probability, from 0 to 1")
    return scores.astype(np.float32)
