"""Golden rows: held-out rows, as a client would send them, whose scores every server must reproduce."""

from thimble.export.clicks.rows import Clicks, Rows
from thimble.models.bag_values import BagColumn
from thimble.models.conversions import EXACT_FLOATS, FROM_TEXT, FROM_VALUES
from thimble.models.features import Batch, batch_from_values
from thimble.models.inputs import Feature, Kind, ValueKind
from thimble.models.spec import GoldenFeatures, GoldenValue, ModelSpec

GOLDEN_ROWS = 33
_HELD_OUT = GOLDEN_ROWS - 2


def golden_features(spec: ModelSpec, held_out: Rows) -> GoldenFeatures:
    """The first held-out rows, then one whose numbers are all -1, and last one in which everything is missing."""
    features: GoldenFeatures = {name: [] for name in spec.feature_names}
    for clicks in held_out.read(_HELD_OUT):
        for name, column in zip(spec.feature_names, _wire_columns(spec, clicks), strict=True):
            features[name] += column[: _HELD_OUT - len(features[name])]
        if len(features[spec.feature_names[0]]) == _HELD_OUT:
            break
    for feature in spec.features:
        features[feature.name] += [-1 if feature.kind == "number" else None, None]
    return features


def golden_batch(spec: ModelSpec, features: GoldenFeatures) -> Batch:
    """Golden rows as the model takes them."""
    return batch_from_values(spec, [features[name] for name in spec.feature_names])


def _wire_columns(spec: ModelSpec, clicks: Clicks) -> list[list[GoldenValue]]:
    """A batch's feature columns as JSON carries them."""
    if clicks.raw is None:  # generated: the arrays say all
        columns: list[list[GoldenValue]] = []
        columns += [[None if x != x else int(x) for x in column] for column in clicks.batch.dense.T.tolist()]
        for field, place in zip(spec.fields, spec.inputs[1].places, strict=True):
            drawn = clicks.batch.ids[:, place].tolist()
            if field.bag:
                columns.append([[_written(field.kind, x) for x in ids if x] for ids in drawn])
            else:
                columns.append([_written(field.kind, x) if x else None for x in drawn])
        return columns
    raw = zip(spec.features, clicks.raw(), strict=True)
    return [[wire_value(feature, value) for value in column] for feature, column in raw]


def wire_value(feature: Feature, value: object) -> GoldenValue:
    """A good value, text or typed, as JSON carries it. A bag is a list of those that it keeps."""
    if feature.bag is None:
        return _wire_value(feature.kind, value)
    values = [_wire_value(feature.kind, value) for value in BagColumn(feature.bag, [value]).values]
    return [value for value in values if isinstance(value, int | str)]


def _written(kind: Kind, drawn: int) -> int | str:
    return f"{drawn:08x}" if kind == "hex" else drawn


def _wire_value(kind: ValueKind, value: object) -> int | float | str | None:
    value = (FROM_TEXT if isinstance(value, str) else FROM_VALUES)[kind].plain(value)
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, str) and kind == "int":
        return int(value)
    if isinstance(value, str) and kind == "number":
        number = float(value)
        return int(number) if number.is_integer() and abs(number) < EXACT_FLOATS[float] else number
    assert isinstance(value, int | float | str)
    return value
