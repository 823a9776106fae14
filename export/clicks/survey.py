"""What has to be known of columns before a model of them can be made, in one pass over the rows to train on."""

from typing import NamedTuple

from thimble.export.clicks.cardinality import IdCounts
from thimble.export.clicks.field_ids import ids_by_field
from thimble.export.clicks.number_samples import NumberSamples
from thimble.export.clicks.rows import Rows
from thimble.models.spec import ModelSpec
from thimble.models.transforms.base import NumberSample

READ_ROWS = 4096


class Survey(NamedTuple):
    """How many different ids each field has, by its name, and a sample of each column of numbers."""

    ids: dict[str, int]
    numbers: list[NumberSample]


def survey(rows: Rows, spec: ModelSpec) -> Survey:
    """Read the rows once, in the order of their source; of the spec only the features count."""
    ids, numbers = IdCounts(len(spec.fields)), NumberSamples(len(spec.dense))
    for clicks in rows.first(len(rows)).read(READ_ROWS):
        ids.add(ids_by_field(clicks.batch.ids, spec.bags))
        numbers.add(clicks.batch.dense)
    names = (field.name for field in spec.fields)
    return Survey(dict(zip(names, ids.counts(), strict=True)), numbers.samples())
